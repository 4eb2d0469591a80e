// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// swtpm is a TPM of the test's own: a process that keeps its state in a folder.
type swtpm struct {
	t      testing.TB
	state  string // folder of its NV memory
	socket string
	run    *exec.Cmd
	said   bytes.Buffer
}

func newTPM(t testing.TB) *swtpm {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatal("these tests need swtpm, a TPM in software; scripts/setup.sh test installs it, or says how")
	}
	// A socket's path has room for 107 bytes, and a test's folder has the test's name.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	chip := &swtpm{t: t, state: filepath.Join(dir, "state"), socket: filepath.Join(dir, "tpm")}
	if err := os.Mkdir(chip.state, 0o700); err != nil {
		t.Fatal(err)
	}
	chip.start()
	t.Cleanup(chip.kill)
	return chip
}

// start powers it on. It returns when the TPM answers.
func (c *swtpm) start() {
	c.t.Helper()
	os.Remove(c.socket)
	// As a tty-less process it says nothing, and dies with its standard input's writer in no way: kill is what ends it.
	c.run = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+c.state,
		"--server", "type=unixio,path="+c.socket, "--flags", "not-need-init,startup-clear")
	c.run.Stdout, c.run.Stderr = &c.said, &c.said
	if err := c.run.Start(); err != nil {
		c.t.Fatal(err)
	}
	// It makes its socket when it is ready, and there is nothing to wait on before that.
	for patience := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("unix", c.socket); err == nil {
			conn.Close()
			return
		} else if time.Now().After(patience) {
			c.t.Fatalf("swtpm: %v\n%s", err, c.said.String())
		}
	}
}

// kill is a loss of power.
func (c *swtpm) kill() {
	if c.run != nil {
		c.run.Process.Kill()
		c.run.Wait()
		c.run = nil
	}
}

func (c *swtpm) config(t testing.TB) Config {
	return Config{Folder: filepath.Join(t.TempDir(), "keys"), Device: c.socket}
}

// chip talks to the TPM as somebody else would.
func (c *swtpm) talk(do func(*chip)) {
	c.t.Helper()
	chip := must(connect(c.t.Context(), Config{Device: c.socket}.dial))(c.t)
	defer chip.close()
	do(chip)
}

// wrongTries is how many wrong auth values the TPM has counted.
func (c *swtpm) wrongTries() (n uint32) {
	c.t.Helper()
	c.talk(func(chip *chip) { n = property(c.t, chip, tpm2.TPMPTLockoutCounter) })
	return n
}

func property(t testing.TB, c *chip, which tpm2.TPMPT) uint32 {
	t.Helper()
	got := must(tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(which), PropertyCount: 1}.Execute(c.tpm))(t)
	list := must(got.CapabilityData.Data.TPMProperties())(t)
	return list.TPMProperty[0].Value
}

// measure changes a PCR, as a changed boot chain does.
func (c *swtpm) measure(pcr uint) {
	c.t.Helper()
	c.talk(func(chip *chip) { extendPCR(c.t, chip.tpm, pcr) })
}

func extendPCR(t testing.TB, tpm transport.TPM, pcr uint) {
	t.Helper()
	must(tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{7}, 32)}}},
	}.Execute(tpm))(t)
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
