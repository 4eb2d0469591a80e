// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/proc"
	"github.com/coffer-backup/coffer/seal/sealtest/emulated"
)

const wrongPIN = "314159265358"

// softHSM is a token for the nodes of a test.
type softHSM struct {
	*emulated.Token
	t *testing.T
}

func newSoftHSM(t *testing.T) *softHSM {
	t.Helper()
	return &softHSM{emulated.NewToken(t), t}
}

// settings adds those of the token to a node's file.
func (k *softHSM) settings(file, more string) {
	k.t.Helper()
	addSettings(k.t, file, "seal = \"pkcs11\"\n", fmt.Sprintf("\n[pkcs11]\nmodule = %q\ntoken = %q\n%s\n", k.Module, emulated.Label, more))
}

// addSettings puts lines at the beginning and at the end of a node's file.
func addSettings(t *testing.T, file, first, last string) {
	t.Helper()
	text := first + string(must(os.ReadFile(file))(t)) + last
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyPrivate copies a folder whose files nobody else may read. Sockets and the like stay behind.
func copyPrivate(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type().IsRegular():
			return os.WriteFile(target, must(os.ReadFile(path))(t), 0o600)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func serves(t *testing.T, file string, p *process) {
	t.Helper()
	until(t, "it serves", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended with code %d: %s", p.ProcessState.ExitCode(), p.said(p.err))
		default:
		}
		s, err := operator.NewClient(filepath.Join(filepath.Dir(file), "node")).Status(t.Context())
		return err == nil && s.Serving
	})
}

// hides looks for the PIN where other processes can see it.
func hides(t *testing.T, p *process) {
	t.Helper()
	processes := append(proc.ChildrenOf(p.Process.Pid), p.Process.Pid)
	if len(processes) < 2 {
		t.Error("there is no core")
	}
	for _, pid := range processes {
		for _, shown := range []string{"cmdline", "environ"} {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, shown)); strings.Contains(string(text), emulated.PIN) || err != nil && shown == "cmdline" {
				t.Errorf("the %s of process %d has the PIN, or cannot be read: %v", shown, pid, err)
			}
		}
	}
}

func stops(t *testing.T, p *process) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.code(t); code != codeOK {
		t.Errorf("exit code %d", code)
	}
}

// TestNodeToken is a node whose keys are in a token, and which is told a wrong PIN.
func TestNodeToken(t *testing.T) {
	t.Parallel()
	token := newSoftHSM(t)
	file := nodeFile(t, "restart = \"trust-disk\"\n")
	token.settings(file, `pin_file = "pin"`)
	pin := filepath.Join(filepath.Dir(file), "pin")
	tell := func(text string) {
		t.Helper()
		if err := os.WriteFile(pin, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, command, want string) {
		t.Helper()
		p := startAs(t, token.Use, "vault", command, "--config", file)
		if code := p.code(t); code != codeFailed || !strings.Contains(p.said(p.err), want) || strings.Contains(p.said(p.err), wrongPIN) {
			t.Errorf("%s: exit code %d: %s", what, code, p.said(p.err))
		}
	}
	mark := filepath.Join(filepath.Dir(file), "node", "seal", "pin-refused")
	const once = "it was tried once"
	tell(wrongPIN)
	refused("a wrong PIN", "create", once)
	tell(emulated.PIN)
	refused("the right one, which nobody is to try yet", "create", mark)
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(pin, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("a PIN that everybody can read", "create", "chmod 600")
	if err := os.Chmod(pin, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := startAs(t, token.Use, "vault", "create", "--config", file); p.code(t) != codeOK {
		t.Fatal(p.said(p.err))
	}
	for range 2 {
		p := startAs(t, token.Use, "vault", "run", "--config", file)
		serves(t, file, p)
		hides(t, p)
		stops(t, p)
	}
	tell(wrongPIN)
	refused("a wrong PIN", "run", once)
	tell(emulated.PIN)
	refused("the right one, which nobody is to try yet", "run", mark)
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	p := startAs(t, token.Use, "vault", "run", "--config", file)
	serves(t, file, p)
	stops(t, p)
}

// TestNodeTokenAtTerminal has the PIN typed. A core that dies gets it again.
func TestNodeTokenAtTerminal(t *testing.T) {
	t.Parallel()
	token := newSoftHSM(t)
	file := nodeFile(t, "restart = \"trust-disk\"\n")
	token.settings(file, "")
	alone := startAs(t, func(cmd *exec.Cmd) {
		token.Use(cmd)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}, "vault", "create", "--config", file)
	if code := alone.code(t); code != codeUsage || !strings.Contains(alone.said(alone.err), "pin_file") {
		t.Errorf("without a terminal: exit code %d: %s", code, alone.said(alone.err))
	}
	if p := typePIN(t, token, "vault", "create", "--config", file); p.code(t) != codeOK {
		t.Fatal(p.said(p.err))
	}
	p := typePIN(t, token, "vault", "run", "--config", file)
	serves(t, file, p)
	hides(t, p)
	core := proc.ChildrenOf(p.Process.Pid)
	for _, pid := range core {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	until(t, "there is another core", func() bool {
		now := proc.ChildrenOf(p.Process.Pid)
		return len(now) > 0 && now[0] != core[0]
	})
	serves(t, file, p)
	hides(t, p)
	stops(t, p)
	check := typePIN(t, token, "seal", "check", "--wrong-pin", "--config", file)
	if check.code(t) != codeOK || !strings.Contains(check.said(check.out), "MEDIAN") || !strings.Contains(check.said(check.out), "tried once") {
		t.Errorf("seal check: %s%s", check.said(check.out), check.said(check.err))
	}
}

// typePIN starts cofferd at a terminal, and types the PIN when it is asked for and the terminal shows nothing.
func typePIN(t *testing.T, k *softHSM, args ...string) *process {
	t.Helper()
	keyboard, terminal := openPTY(t)
	defer terminal.Close()
	p := startAs(t, func(cmd *exec.Cmd) {
		k.Use(cmd)
		cmd.Stdin = terminal
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}, args...)
	until(t, "it asks for the PIN", func() bool { return strings.Contains(p.said(p.err), `PIN of the token "node"`) })
	if state := must(unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS))(t); state.Lflag&unix.ECHO != 0 {
		t.Error("the terminal shows what is typed")
	}
	must(keyboard.WriteString(emulated.PIN + "\n"))(t)
	return p
}

func openPTY(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	n := must(unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN))(t)
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	return keyboard, must(os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0))(t)
}
