// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
)

// replica is the pid that a replica of cofferd dev has written, 0 if there is none.
func replica(t *testing.T, dir string, slot vault.Slot) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(newFleetNode(dir, slot).dir, "pid"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	return must(strconv.Atoi(strings.TrimSpace(string(must(text, err)(t)))))(t)
}

// TestDevFleet: three replicas, one of which is killed and started by hand, all of which are stopped with the program or go on without it.
func TestDevFleet(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery staple"
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { // what outlives the program
		for slot := vault.Slot(1); slot <= 3; slot++ {
			if pid := replica(t, dir, slot); pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	d := startDev(t, dir, "--replicas", "3", "--partitions", "2", "--no-limits", "--quiet")
	alice, k := login(t, d.url, "alice"), [32]byte{1, 2, 3}
	id, _, err := alice.Register(t.Context(), &k, password, recovery.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	killed := replica(t, dir, 2)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it says that it was killed", func() bool { return strings.Contains(d.said(d.err), "a replica ended") })
	if r, err := alice.Recover(t.Context(), password, id); err != nil || r.K != k {
		t.Errorf("with two of three: %v", err)
	}
	file := newFleetNode(dir, 2).file()
	start(t, "vault", "run", "--config", file)
	until(t, "it is back", func() bool {
		code, _, _ := cofferd(t, "vault", "status", "--config", file)
		return code == codeOK && statusOf(t, file).Serving
	})
	if now := replica(t, dir, 2); now == killed || now != statusOf(t, file).PID {
		t.Errorf("the process is %d, was %d", now, killed)
	}

	d.signal(t, syscall.SIGKILL) // the replicas go on
	d.code(t)
	first := replica(t, dir, 1)
	d = startDev(t, dir, "--no-limits", "--quiet")
	if now := replica(t, dir, 1); now != first {
		t.Errorf("replica 1 was process %d, and is %d", first, now)
	}
	d.signal(t, syscall.SIGTERM)
	if code := d.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	for slot := vault.Slot(1); slot <= 3; slot++ {
		if pid := replica(t, dir, slot); pid != 0 {
			t.Errorf("replica %d still runs, process %d", slot, pid)
		}
	}

	d = startDev(t, dir, "--no-limits", "--quiet") // and all of them continue
	if r, err := login(t, d.url, "alice").Recover(t.Context(), password, id); err != nil || r.K != k {
		t.Errorf("after all were stopped: %v", err)
	}
	d.signal(t, syscall.SIGTERM)
	d.code(t)
}

// TestDevMajority: the real thing cannot be stopped as a whole, and says so.
func TestDevMajority(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	d := startDev(t, dir, "--replicas", "3", "--restart", "majority", "--core", "inprocess", "--quiet")
	if said := d.said(d.err); !strings.Contains(said, "what they keep is lost") || strings.Contains(said, "trust-disk") {
		t.Errorf("it warns: %s", said)
	}
	d.signal(t, syscall.SIGTERM)
	if code := d.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	again := start(t, "dev", "--dir", dir, "--listen", "127.0.0.1:0")
	if code := again.code(t); code != codeUsage || !strings.Contains(again.said(again.err), "nobody is left who could admit") {
		t.Errorf("exit code %d: %s", code, again.said(again.err))
	}
}

func TestReplicasFit(t *testing.T) {
	three, one := t.TempDir(), t.TempDir()
	for slot := vault.Slot(1); slot <= 3; slot++ {
		if err := newFleetNode(three, slot).write(""); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(one, "vault"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir      string
		replicas int
		restart  string
		want     int // 0: refused
	}{
		{three, 0, "", 3}, {three, 3, "", 3}, {three, 5, "", 5}, {three, 2, "", 0}, {three, 1, "", 0},
		{one, 0, "", 1}, {one, 1, "", 1}, {one, 3, "", 0}, {one, 0, "majority", 0},
		{t.TempDir(), 0, "", 1}, {t.TempDir(), 5, "majority", 5}, {t.TempDir(), -1, "", 0}, {t.TempDir(), maxReplicas + 1, "", 0},
	} {
		got, err := (&devCmd{Replicas: c.replicas, policyFlags: policyFlags{Restart: c.restart}}).replicas(c.dir)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}
