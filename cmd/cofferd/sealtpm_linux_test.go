// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/proc"
	"github.com/coffer-backup/coffer/seal/sealtest/emulated"
)

// TestNodeTPM is a node whose keys hang on a TPM, and which is told a wrong auth value.
func TestNodeTPM(t *testing.T) {
	t.Parallel()
	file := nodeFile(t, "restart = \"trust-disk\"\n")
	auth := filepath.Join(filepath.Dir(file), "auth")
	const secret = "an auth value"
	if err := os.WriteFile(auth, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := must(os.ReadFile(file))(t)
	text = append([]byte("seal = \"tpm2\"\n"), fmt.Appendf(text, "[tpm2]\ndevice = %q\nauth_file = \"auth\"\n", emulated.NewTPM(t).Socket)...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, said := cofferd(t, "vault", "create", "--config", file); code != codeOK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	p := start(t, "vault", "run", "--config", file)
	until(t, "it serves", func() bool {
		code, _, _ := cofferd(t, "vault", "status", "--config", file)
		return code == codeOK && statusOf(t, file).Serving
	})
	for _, pid := range append(proc.ChildrenOf(p.Process.Pid), p.Process.Pid) {
		if line := must(os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)))(t); strings.Contains(string(line), secret) {
			t.Errorf("process %d has the auth value in its arguments", pid)
		}
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	if err := os.WriteFile(auth, []byte("another one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, "vault", "run", "--config", file)
	if code := p.code(t); code != codeFailed || !strings.Contains(p.said(p.err), "tried once") {
		t.Errorf("a wrong auth value: exit code %d: %s", code, p.said(p.err))
	}
}
