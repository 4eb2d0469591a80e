// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/recovery"
)

// eachCore runs a test with the core in a process of its own and in its host's.
func eachCore(t *testing.T, test func(t *testing.T, core string)) {
	for _, core := range []string{settings.CoreProcess, settings.CoreInProcess} {
		t.Run(core, func(t *testing.T) {
			t.Parallel()
			test(t, core)
		})
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestLife is a vault's life: made, used, stopped, continued.
func TestLife(t *testing.T) {
	eachCore(t, func(t *testing.T, core string) {
		const password = "correct horse battery staple"
		dir := filepath.Join(t.TempDir(), "state")
		d := startDev(t, dir, "--core", core)
		if mode := must(os.Stat(dir))(t).Mode().Perm(); mode != 0o700 {
			t.Errorf("the folder's mode is %04o", mode)
		}
		if status := get(t, d.url+"/readyz"); status != http.StatusOK {
			t.Errorf("ready file before it is ready: %d", status)
		}
		alice := login(t, d.url, "alice")
		k := [32]byte{1, 2, 3}
		id, _, err := alice.Register(t.Context(), &k, password, recovery.RegisterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = alice.Recover(t.Context(), "another password", id)
		if wrong, ok := errors.AsType[*recovery.WrongPassword](err); !ok || wrong.GuessesLeft != 9 {
			t.Fatalf("a wrong password: %v", err)
		}
		d.signal(t, syscall.SIGTERM)
		if code := d.code(t); code != codeOK || exists(d.ready) {
			t.Fatalf("exit code %d, ready file still there: %t", code, exists(d.ready))
		}
		if said := d.said(d.err); strings.Contains(said, "alice") || !strings.Contains(said, "protects nothing against root") {
			t.Errorf("it said: %s", said)
		}
		first := fingerprint(t, d)

		d = startDev(t, dir, "--core", core)
		if again := fingerprint(t, d); again != first {
			t.Errorf("another fleet: %s, then %s", first, again)
		}
		alice = login(t, d.url, "alice")
		status := must(alice.Status(t.Context()))(t)
		if len(status.Registrations) != 1 || status.Registrations[0].GuessesLeft != 9 {
			t.Errorf("after a restart: %+v", status.Registrations)
		}
		if r, err := alice.Recover(t.Context(), password, id); err != nil || r.K != k {
			t.Errorf("the right password: %v", err)
		}
	})
}

func fingerprint(t *testing.T, d *dev) string {
	t.Helper()
	found := regexp.MustCompile(`fingerprint +([0-9a-f ]{79})\n`).FindStringSubmatch(d.said(d.out))
	if found == nil {
		t.Fatalf("no fingerprint in %q", d.said(d.out))
	}
	return found[1]
}

// TestSecondDev must leave the first one as it is, its ready file included.
func TestSecondDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDev(t, dir)
	second := start(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0", "--ready-file", first.ready)
	if code := second.code(t); code != codeInUse || !strings.Contains(second.said(second.err), "in use by another process") {
		t.Errorf("exit code %d: %s", code, second.said(second.err))
	}
	if !exists(first.ready) || get(t, first.url+"/readyz") != http.StatusOK {
		t.Error("the first one does not serve any more")
	}
	address := strings.TrimPrefix(first.url, "http://")
	third := start(t, "dev", "--dir", t.TempDir(), "--listen", address)
	if code := third.code(t); code != codeInUse {
		t.Errorf("the address in use: exit code %d", code)
	}
}

// TestStaleReadyFile is one that a killed run left: who waits for the next run must not read it.
func TestStaleReadyFile(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	if err := writeReadyFile(ready, "stale"); err != nil {
		t.Fatal(err)
	}
	p := start(t, "dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--ready-file", ready)
	until(t, "it starts", func() bool { return strings.Contains(p.said(p.err), "FOR DEVELOPMENT ONLY") })
	if text, _ := os.ReadFile(ready); strings.HasPrefix(string(text), "stale") {
		t.Error("the file of an earlier run is still there")
	}
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	d := startDev(t, t.TempDir())
	for _, garbage := range []string{
		"\x00\x00\x00\x00", "\x16\x03\x01\x02\x00\x01", strings.Repeat("A", 1<<20), "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"POST /coffer.v1.Vault/Call HTTP/1.1\r\nHost: a\r\nContent-Type: application/proto\r\nContent-Length: 99999999999\r\n\r\n",
	} {
		conn := must(net.Dial("tcp", strings.TrimPrefix(d.url, "http://")))(t)
		io.WriteString(conn, garbage)                // the other end may have had enough before all of it is sent
		conn.(*net.TCPConn).CloseWrite()             // ditto
		io.Copy(io.Discard, io.LimitReader(conn, 1)) // until it answers or closes
		conn.Close()
	}
	if status := get(t, d.url+"/readyz"); status != http.StatusOK {
		t.Errorf("after garbage: %d", status)
	}
}

// TestDrain stops it while a request is half sent: the request is answered.
func TestDrain(t *testing.T) {
	t.Parallel()
	d := startDev(t, t.TempDir(), "--admin", "127.0.0.1:0")
	metrics := regexp.MustCompile(`metrics +(http\S+)`).FindStringSubmatch(d.said(d.out))[1]
	address := strings.TrimPrefix(d.url, "http://")
	conn := must(net.Dial("tcp", address))(t)
	defer conn.Close()
	io.WriteString(conn, "POST /coffer.v1.Vault/Descriptor HTTP/1.1\r\nHost: "+address+"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
	until(t, "the request is under way", func() bool {
		response := must(http.Get(metrics))(t)
		defer response.Body.Close()
		return strings.Contains(string(must(io.ReadAll(response.Body))(t)), "\ncoffer_gateway_in_flight_requests 1\n")
	})
	d.signal(t, syscall.SIGTERM)
	until(t, "it takes no more connections", func() bool { return get(t, d.url+"/readyz") == 0 })
	io.WriteString(conn, "}")
	response := must(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	defer response.Body.Close()
	if body := must(io.ReadAll(response.Body))(t); response.StatusCode != http.StatusOK || len(body) < 1000 {
		t.Errorf("%s: %s", response.Status, body)
	}
	if code := d.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
}

// TestStopAtOnce stops it while the vault is being made; the next start makes it.
func TestStopAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0")
	until(t, "it has begun", func() bool { return exists(filepath.Join(dir, "issuer")) })
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	startDev(t, dir)
}

// TestQuiet: nothing is said of a request that went well.
func TestQuiet(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} {
		var args []string
		if quiet {
			args = []string{"--quiet"}
		}
		d := startDev(t, t.TempDir(), args...)
		must(newTarget(t.Context(), d.url))(t)
		d.signal(t, syscall.SIGTERM)
		d.code(t)
		if said := d.said(d.err); strings.Contains(said, "level=INFO") == quiet {
			t.Errorf("quiet %t: %s", quiet, said)
		}
	}
}
