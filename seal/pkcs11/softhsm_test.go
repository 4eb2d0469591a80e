// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"
)

const (
	rightPIN = "271828"
	wrongPIN = "314159"
)

// softHSM is a set of tokens of the test's own, in a folder.
type softHSM struct {
	t      testing.TB
	module string
	dir    string
}

func newSoftHSM(t testing.TB, labels ...string) *softHSM {
	t.Helper()
	module := ""
	for _, place := range []string{"/usr/lib/softhsm", "/usr/lib/*/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm"} {
		if found, _ := filepath.Glob(filepath.Join(place, "libsofthsm2.so")); len(found) > 0 && module == "" {
			module = found[0]
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || module == "" {
		t.Fatal("these tests need SoftHSM2, a token in software; scripts/setup.sh test installs it, or says how")
	}
	h := &softHSM{t, module, filepath.Join(t.TempDir(), "tokens")}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", h.dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf) // SoftHSM2 reads it in C_Initialize
	for _, label := range append(labels, "node") {
		h.addToken(label)
	}
	return h
}

func (h *softHSM) addToken(label string) {
	h.t.Helper()
	util := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", rightPIN, "--so-pin", "12345678")
	if out, err := util.CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
}

func (h *softHSM) config(t testing.TB) Config {
	return Config{Folder: filepath.Join(t.TempDir(), "keys"), Module: h.module, Token: "node", PIN: says(rightPIN)}
}

func says(pin string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(pin), nil }
}

// objects counts the key files of all tokens: what is in there is seen without asking the module.
func (h *softHSM) objects() int {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "*", "*.object"))
	if err != nil {
		h.t.Fatal(err)
	}
	tokens, err := filepath.Glob(filepath.Join(h.dir, "*", "token.object"))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(found) - len(tokens)
}

// counted counts what reaches the token, and does something before.
type counted struct {
	cryptoki
	logins int
	before func(call string) error
}

func (c *counted) step(call string) error {
	if c.before == nil {
		return nil
	}
	return c.before(call)
}

func (c *counted) Login(s pkcs11.SessionHandle, user uint, pin string) error {
	c.logins++
	if err := c.step("Login"); err != nil {
		return err
	}
	return c.cryptoki.Login(s, user, pin)
}

func (c *counted) FindObjectsInit(s pkcs11.SessionHandle, template []*pkcs11.Attribute) error {
	if err := c.step("FindObjectsInit"); err != nil {
		return err
	}
	return c.cryptoki.FindObjectsInit(s, template)
}

func (c *counted) GenerateKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if err := c.step("GenerateKey"); err != nil {
		return 0, err
	}
	return c.cryptoki.GenerateKey(s, m, template)
}

func (c *counted) GetAttributeValue(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, a []*pkcs11.Attribute) ([]*pkcs11.Attribute, error) {
	if err := c.step("GetAttributeValue"); err != nil {
		return nil, err
	}
	return c.cryptoki.GetAttributeValue(s, o, a)
}

func (c *counted) DestroyObject(s pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	if err := c.step("DestroyObject"); err != nil {
		return err
	}
	return c.cryptoki.DestroyObject(s, key)
}

func (c *counted) Encrypt(s pkcs11.SessionHandle, plain []byte) ([]byte, error) {
	if err := c.step("Encrypt"); err != nil {
		return nil, err
	}
	return c.cryptoki.Encrypt(s, plain)
}

func (c *counted) Decrypt(s pkcs11.SessionHandle, sealed []byte) ([]byte, error) {
	if err := c.step("Decrypt"); err != nil {
		return nil, err
	}
	return c.cryptoki.Decrypt(s, sealed)
}

// through puts c before the module.
func (c *counted) through(p cryptoki) cryptoki {
	c.cryptoki = p
	return c
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
