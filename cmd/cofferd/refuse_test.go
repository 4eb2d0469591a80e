// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// cofferd runs a command that ends by itself, and returns its exit code and what it said.
func cofferd(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = run(t.Context(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestAddressOfOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0", "127.0.0.1", ""} {
		for _, args := range [][]string{{"--listen", address}, {"--listen", "127.0.0.1:0", "--admin", address}} {
			if args[len(args)-2] == "--admin" && address == "" {
				continue // none
			}
			code, _, said := cofferd(t, append([]string{"dev", "--dir", dir}, args...)...)
			if code != codeUsage || exists(dir) {
				t.Errorf("%q: exit code %d, the folder was made: %t: %s", args, code, exists(dir), said)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"unknown"}, {"dev", "--core", "elsewhere"}, {"core"}, {"help", "unknown"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--cooldown", "-1s"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--budget", "0"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--budget", "101"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--grace", "90000h"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--provable", "-1s"},
		{"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--provable", "25h"},
		{"load"}, {"load", "--dev", "--url", "http://127.0.0.1:1"}, {"load", "--dev", "--mix", "nothing"},
		{"load", "--dev", "--workers", "0"}, {"load", "--dev", "--accounts", "1", "--workers", "2"}, {"load", "--dev", "--rate", "-1"},
		{"load", "--dev", "--duration", "0s"}, {"load", "--url", "http://example.org"}, {"load", "--url", "http://127.0.0.1:1", "--accounts", "5000"},
	} {
		if code, out, said := cofferd(t, args...); code != codeUsage || out != "" || !strings.HasPrefix(said, "cofferd: ") {
			t.Errorf("%q: exit code %d: %s%s", args, code, out, said)
		}
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := cofferd(t, "version"); code != codeOK || !strings.HasPrefix(out, "cofferd ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestPolicyStays: a vault that is asked to be another one does not serve.
func TestPolicyStays(t *testing.T) {
	dir := t.TempDir()
	budget, other, cooldown := uint8(3), uint8(4), time.Duration(0)
	provable, longer := time.Second, time.Minute
	serves := func(p policyFlags) error {
		s := must(openHere(t, dir, p))(t)
		return serveHere(t, s, func(_ context.Context, d *wire.Descriptor) {
			if d.Policy.Budget != budget || d.Policy.CooldownMs != 0 || d.Policy.ProvableMs != 1000 || d.Policy.Restart != wire.RestartTrustDisk {
				t.Errorf("policy %+v", d.Policy)
			}
		})
	}
	for _, p := range []policyFlags{{Budget: &budget, Cooldown: &cooldown, Provable: &provable}, {}, {Budget: &budget, Provable: &provable}} {
		if err := serves(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []policyFlags{{Budget: &other}, {Provable: &longer}} {
		if err := serves(p); err == nil || !strings.Contains(err.Error(), "made with --budget 3 --cooldown 0s --grace 720h0m0s --provable 1s") {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "issuer")); err != nil {
		t.Fatal(err)
	}
	if err := serves(policyFlags{}); err == nil || !strings.Contains(err.Error(), "another issuer") {
		t.Errorf("another issuer: %v", err)
	}
}
