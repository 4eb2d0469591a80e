// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSealCheck(t *testing.T) {
	t.Parallel()
	p := start(t, "seal", "check", "--config", nodeFile(t, ""))
	if code := p.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"--- PASS: seal/destroy", "MEDIAN", "new key"} {
		if !strings.Contains(p.said(p.out), want) {
			t.Errorf("it does not say %q: %s", want, p.said(p.out))
		}
	}
	broken := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(broken, []byte("seal = \"tpm2\"\n[tpm2]\ndevice = \"nowhere.sock\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := start(t, "seal", "check", "--config", broken).code(t); code != codeFailed {
		t.Errorf("no device: exit code %d", code)
	}
}
