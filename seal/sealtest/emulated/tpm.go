// SPDX-License-Identifier: Apache-2.0

// Package emulated gives tests of other packages a real TPM and a real PKCS#11 token, both in software: swtpm and SoftHSM2, as Debian has them.
//
// It guarantees that each is a test's own, and that nothing is left of it afterwards. It trusts both programs. It refuses to go on without them: a test
// that needs hardware fails where there is none, and is not skipped.
package emulated

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TPM is a process that is a TPM. It keeps what it has to keep over Kill and Start.
type TPM struct {
	Socket  string
	Process *os.Process

	t   testing.TB
	run *exec.Cmd
	dir string
}

// NewTPM returns a TPM that answers.
func NewTPM(t testing.TB) *TPM {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatal("this test needs swtpm, a TPM in software; scripts/setup.sh test installs it, or says how")
	}
	dir, err := os.MkdirTemp("", "tpm-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	d := &TPM{Socket: filepath.Join(dir, "s"), t: t, dir: dir}
	t.Cleanup(func() {
		d.Kill()
		os.RemoveAll(dir)
	})
	d.Start()
	return d
}

// Start powers it on.
func (d *TPM) Start() {
	d.t.Helper()
	d.run = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+d.dir, "--server", "type=unixio,path="+d.Socket,
		"--flags", "not-need-init,startup-clear")
	if err := d.run.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.Process = d.run.Process
	// It makes its socket when it is ready, and there is nothing to wait on before that.
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", d.Socket)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			d.t.Fatal(err)
		}
	}
}

// Kill is a loss of power.
func (d *TPM) Kill() {
	if d.run != nil {
		d.run.Process.Kill()
		d.run.Wait()
		d.run = nil
	}
}
