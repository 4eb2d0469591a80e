// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/operator"
)

// nodeFile writes the file of a node in a folder of its own, which can create a fleet.
func nodeFile(t *testing.T, fleet string) (path string) {
	t.Helper()
	dir := t.TempDir()
	keys := must(issuer.Open(filepath.Join(dir, "issuer"), issuerName))(t).Keys()
	if err := writeKeySet(filepath.Join(dir, "keys.json"), keys); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "node.toml")
	text := `dir = "node"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
[fleet]
issuer = "` + issuerName + `"
core_audience = "core"
gateway_audience = "gateway"
token_keys = "keys.json"
` + fleet
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// statusOf asks the node of a file.
func statusOf(t *testing.T, file string) (s operator.Status) {
	t.Helper()
	code, out, said := cofferd(t, "vault", "status", "--json", "--config", file)
	if code != codeOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return s
}

// TestNode is the life of a fleet of one.
func TestNode(t *testing.T) {
	file := nodeFile(t, `restart = "trust-disk"`)
	if code, out, said := cofferd(t, "vault", "create", "--config", file); code != codeOK || !strings.Contains(out, "slot 1") {
		t.Fatalf("exit code %d: %s%s", code, out, said)
	}
	if code, _, said := cofferd(t, "vault", "create", "--config", file); code != codeFailed || !strings.Contains(said, "there is a fleet already") {
		t.Errorf("a second create: exit code %d: %s", code, said)
	}
	p := start(t, "vault", "run", "--config", file)
	until(t, "it serves", func() bool {
		code, _, _ := cofferd(t, "vault", "status", "--config", file)
		return code == codeOK && statusOf(t, file).Serving
	})
	pid := filepath.Join(filepath.Dir(file), "node", "pid")
	text := must(os.ReadFile(pid))(t)
	if got := must(strconv.Atoi(strings.TrimSpace(string(text))))(t); got != p.Process.Pid || got != statusOf(t, file).PID {
		t.Errorf("its process is %d, and pid says %d", p.Process.Pid, got)
	}
	if code, _, said := cofferd(t, "vault", "run", "--config", file); code != codeInUse {
		t.Errorf("a second run: exit code %d: %s", code, said)
	}
	if code, _, said := cofferd(t, "vault", "remove", "--slot", "1", "--config", file); code != codeUsage || !strings.Contains(said, "--yes") {
		t.Errorf("a removal without a terminal: exit code %d: %s", code, said)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != codeOK || exists(pid) {
		t.Errorf("exit code %d, pid is left: %t", code, exists(pid))
	}
	if said := p.said(p.err); !strings.Contains(said, "Restart policy trust-disk") {
		t.Errorf("no warning: %s", said)
	}
	for _, args := range [][]string{{"status"}, {"ticket"}, {"remove", "--slot", "2", "--yes"}, {"transfer", "--yes"}, {"drain"}} {
		code, _, said := cofferd(t, append([]string{"vault", args[0], "--config", file}, args[1:]...)...)
		if code != codeNotRunning || !strings.Contains(said, "not running") {
			t.Errorf("%q of a node that does not run: exit code %d: %s", args, code, said)
		}
	}
}

func TestVaultUsage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "node.toml")
	if err := os.WriteFile(file, []byte("dirr = '.'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, ticket := nodeFile(t, ""), filepath.Join(dir, "ticket")
	if err := os.WriteFile(ticket, []byte("coffer-ticket-1-AAAABBBBCCCC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"vault"}, {"vault", "run", "--config", file}, {"vault", "create", "--config", file}, {"vault", "remove", "--config", good},
		{"vault", "join", "--config", good, "--ticket", ticket}, {"gateway", "--config", file}, {"gateway", "--example", "--fingerprint"},
	} {
		if code, _, said := cofferd(t, args...); code != codeUsage {
			t.Errorf("%q: exit code %d: %s", args, code, said)
		}
	}
	if code, _, said := cofferd(t, "vault", "run", "--config", good); code != codeFailed || !strings.Contains(said, "no fleet") {
		t.Errorf("run before create: exit code %d: %s", code, said)
	}
	if code, out, _ := cofferd(t, "vault", "config"); code != codeOK || !strings.Contains(out, "[fleet]") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
