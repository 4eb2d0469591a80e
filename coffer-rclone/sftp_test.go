// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// sshd insists on being started by its absolute path, for it starts itself again.
const sshd = "/usr/sbin/sshd"

func contains(text, part string) bool { return strings.Contains(text, part) }

// server is a real OpenSSH server of the test's own: its keys, its configuration, its port.
type server struct {
	dir, data, config string // config is rclone's, for the remote "test:"

	mu      sync.Mutex
	serving []*os.Process
}

// cut ends all connections, as a network does that is lost for a moment.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.serving {
		_ = one.Kill()
	}
	s.serving = nil
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startServer serves each connection by an sshd of its own, as inetd does, so that the test picks the port and holds it.
func startServer(t *testing.T) *server {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		t.Fatalf("%v; scripts/setup.sh test installs it", err)
	}
	if os.Getuid() == 0 { // where sshd drops its rights to; a service would have made it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir()}
	s.data, s.config = filepath.Join(s.dir, "data"), filepath.Join(s.dir, "rclone.conf")
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	for _, key := range []string{"host", "client"} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(key))
	}
	public, err := os.ReadFile(file("client.pub"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file("authorized_keys"), string(public))
	write(t, file("sshd_config"), fmt.Sprintf(`HostKey %s
AuthorizedKeysFile %s
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
MaxSessions 100
LogLevel ERROR
Subsystem sftp internal-sftp
`, file("host"), file("authorized_keys")))
	address := s.listen(t, file("sshd_config"))
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := os.ReadFile(file("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file("known_hosts"), fmt.Sprintf("[%s]:%s %s", host, port, hostKey))
	write(t, s.config, fmt.Sprintf(`[test]
type = sftp
host = %s
port = %s
user = %s
key_file = %s
known_hosts_file = %s
shell_type = none
`, host, port, who.Username, file("client"), file("known_hosts")))
	return s
}

func (s *server) listen(t *testing.T, config string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serveConn(t, conn.(*net.TCPConn), config) })
		}
	})
	t.Cleanup(func() { // before it, the clients' cleanup has closed their connections
		listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func (s *server) serveConn(t *testing.T, conn *net.TCPConn, config string) {
	socket, err := conn.File()
	conn.Close()
	if err != nil {
		t.Error(err)
		return
	}
	one := exec.Command(sshd, "-i", "-e", "-f", config)
	one.Stdin, one.Stdout = socket, socket
	one.Stderr = t.Output()
	err = one.Start()
	socket.Close()
	if err != nil {
		t.Error(err)
		return
	}
	s.mu.Lock()
	s.serving = append(s.serving, one.Process)
	s.mu.Unlock()
	_ = one.Wait() // its status is the client's doing
}

func TestSFTP(t *testing.T) {
	server := startServer(t)
	s, err := openHelper(t, server.config, "test:"+server.data)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != "rclone:test:"+server.data {
		t.Errorf("String() = %s", s)
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
	wantNoTemp(t, server.data)
}

func TestSFTPFaults(t *testing.T) {
	server := startServer(t)
	if _, err := openHelper(t, server.config, "test:"+server.data+"/none"); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("no such folder: %v", err)
	}
	wrong := filepath.Join(server.dir, "wrong.conf")
	config, err := os.ReadFile(server.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, wrong, strings.Replace(string(config), "key_file = "+filepath.Join(server.dir, "client"), "key_file = "+filepath.Join(server.dir, "host"), 1))
	if _, err := openHelper(t, wrong, "test:"+server.data); !errors.Is(err, blob.ErrDenied) {
		t.Errorf("the wrong key: %v", err)
	}
}

// TestSFTPWriters lets two helpers race, as two machines would: the server refuses the second.
func TestSFTPWriters(t *testing.T) {
	server := startServer(t)
	var stores [2]blob.Store
	for i := range stores {
		s, err := openHelper(t, server.config, "test:"+server.data)
		if err != nil {
			t.Fatal(err)
		}
		stores[i] = s
	}
	for round := range 20 {
		name := fmt.Sprintf("race/%d", round)
		var errs [len(stores)]error
		var puts sync.WaitGroup
		for i, s := range stores {
			puts.Go(func() { errs[i] = s.Put(t.Context(), name, []byte{byte(i)}) })
		}
		puts.Wait()
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				if got, err := blobtest.Read(t.Context(), stores[0], name); err != nil || len(got) != 1 || got[0] != byte(i) {
					t.Errorf("%s is %v, %v; want that of writer %d", name, got, err, i)
				}
			} else if !errors.Is(err, blob.ErrExists) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d writers won", name, won)
		}
	}
}

func TestSFTPConnectionLost(t *testing.T) {
	server := startServer(t)
	s, err := openHelper(t, server.config, "test:"+server.data)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		name := fmt.Sprintf("d/%d", round)
		server.cut()
		if err := s.Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		server.cut()
		if got, err := blobtest.Read(t.Context(), s, name); err != nil || string(got) != name {
			t.Fatalf("%q, %v", got, err)
		}
		server.cut()
		seen := 0
		for _, err := range s.List(t.Context(), "d/") {
			if seen++; err != nil {
				t.Fatal(err)
			}
		}
		if seen != round+1 {
			t.Errorf("%d of %d objects listed", seen, round+1)
		}
	}
}
