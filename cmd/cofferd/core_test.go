// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal/software"
)

// startCore starts a core's process as its host does, and returns the host's end.
func startCore(t *testing.T) (*exec.Cmd, net.Conn) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "seal")
	if err := must(software.Create(dir))(t).Close(); err != nil {
		t.Fatal(err)
	}
	fds := must(syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0))(t)
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	host, core := os.NewFile(uintptr(fds[0]), "host"), os.NewFile(uintptr(fds[1]), "core")
	defer host.Close()
	defer core.Close()
	conn := must(net.FileConn(host))(t)
	cmd := exec.Command(os.Args[0], "core", "--seal", dir)
	cmd.Env = append(os.Environ(), runMain+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{core}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, conn
}

// TestCoreOutlivesNobody: a core ends when its host is gone.
func TestCoreOutlivesNobody(t *testing.T) {
	t.Parallel()
	cmd, conn := startCore(t)
	conn.Close()
	if cmd.Wait() == nil {
		t.Error("it ended as if it had been told to")
	}
}

// TestCoreRefusesGarbage: it says why and ends.
func TestCoreRefusesGarbage(t *testing.T) {
	t.Parallel()
	cmd, conn := startCore(t)
	if _, err := conn.Write([]byte(strings.Repeat("garbage!", 8))); err != nil {
		t.Fatal(err)
	}
	frame, err := stream.NewConn(conn).Read()
	if _, fatal := frame.(stream.Fatal); !fatal {
		t.Errorf("it says %#v (%v)", frame, err)
	}
	if cmd.Wait() == nil {
		t.Error("it ended as if all were well")
	}
}
