// SPDX-License-Identifier: Apache-2.0

package emulated

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What every Token has.
const (
	Label = "node"
	PIN   = "271828182845"
)

// ConfVariable is that of the environment in which a process that uses a Token finds Conf.
const ConfVariable = "SOFTHSM2_CONF"

// Token is a PKCS#11 token whose storage is files.
type Token struct {
	Module string // the library
	Dir    string // of its storage
	Conf   string
}

// NewToken returns a token that is initialised.
func NewToken(t testing.TB) *Token {
	t.Helper()
	module := ""
	for _, place := range []string{"/usr/lib/softhsm", "/usr/lib/*/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm"} {
		if found, _ := filepath.Glob(filepath.Join(place, "libsofthsm2.so")); len(found) > 0 && module == "" {
			module = found[0]
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || module == "" {
		t.Fatal("this test needs SoftHSM2, a token in software; scripts/setup.sh test installs it, or says how")
	}
	dir := t.TempDir()
	k := &Token{Module: module, Dir: filepath.Join(dir, "tokens"), Conf: filepath.Join(dir, "softhsm2.conf")}
	if err := os.Mkdir(k.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", k.Dir)
	if err := os.WriteFile(k.Conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	util := exec.Command("softhsm2-util", "--init-token", "--free", "--label", Label, "--pin", PIN, "--so-pin", "12345678")
	k.Use(util)
	if out, err := util.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return k
}

// Use lets a process that is yet to be started, and those that it starts, find the token.
func (k *Token) Use(cmd *exec.Cmd) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, ConfVariable+"="+k.Conf)
}
