// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package vault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest/emulated"
	"github.com/coffer-backup/coffer/wire"
)

// hardware is a TPM or a token that a test hurts.
type hardware struct {
	seal         Seal
	hang, goOn   func() // it does not answer, and answers again
	vanish, back func() // it is not there, and is there again
}

// TestHardwareFails: hardware that hangs or goes away while a node runs. Requests are served; the operator is told once, and sees it; nothing comes to the disk in
// the clear; and when the hardware is back, what was put off is done.
func TestHardwareFails(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *hardware{"tpm2": newTPM, "pkcs11": newToken} {
		t.Run(name, func(t *testing.T) {
			h := make(t)
			log := new(heard)
			w := newWorld(t, nil)
			w.config.Seal, w.config.RotateMs, w.config.late, w.config.Logger = h.seal, 100, 300*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
			w.create()
			w.start()
			k := [32]byte{7}
			id := w.register("alice", "correct horse battery", &k)
			for fault, hurt := range map[string][2]func(){"it hangs": {h.hang, h.goOn}, "it is gone": {h.vanish, h.back}} {
				if testing.Short() && fault == "it is gone" {
					continue
				}
				t.Run(fault, func(t *testing.T) { w.endure(t, log, hurt[0], hurt[1]) })
			}
			if h.seal.Kind == seal.PKCS11 {
				t.Run("a copy of the folder is opened", w.overtaken)
			}
			w.restart()
			if r, err := w.client("alice").Recover(t.Context(), "correct horse battery", id); err != nil || r.K != k {
				t.Errorf("afterwards: %v", err)
			}
			if h.seal.Kind == seal.TPM2 { // a node that is stopped does not wait for it; a call in a token's module cannot be ended but with the process
				h.hang()
				defer h.goOn()
			}
			if err := w.halt(); err != nil {
				t.Error(err)
			}
		})
	}
}

// endure hurts the sealer and mends it.
func (w *world) endure(t *testing.T, log *heard, hurt, mend func()) {
	works := func(s *Status) bool { return s.Sealer.For == 0 && s.Erasure.Nodes[0].Ms <= s.Erasure.Within }
	see := func(what string, is func(*Status) bool) *Status {
		t.Helper()
		var s Status
		eventually(t, what, func() bool { s = w.vault.Status(); return is(&s) })
		return &s
	}
	see("it works", works)
	hurt()
	k := [32]byte{1}
	account := strings.ReplaceAll(t.Name(), "/", " ")
	w.register(account, "correct horse battery", &k) // something to be erased
	failing := see("it says that the sealer fails", func(s *Status) bool {
		return s.Sealer.For > 0 && s.Sealer.Error != "" && len(s.Erasure.Stragglers()) == 1
	})
	for range 3 {
		if left := w.guessesLeft(account); left != 10 {
			t.Errorf("%d guesses left", left)
		}
	}
	w.nothingInTheClear(t, wire.NewAccountID(issuerName, account), wire.NewAccountID(issuerName, "alice"))
	if s := w.vault.Status(); s.Epoch != failing.Epoch || !s.Serving {
		t.Errorf("without its sealer it serves: %t, in epoch %d, and before in %d", s.Serving, s.Epoch, failing.Epoch)
	}
	// As often as it began to fail: slow hardware may have done so before this test hurt it.
	if n, again := log.count("level=ERROR"), log.count("the sealer works again"); n != again+1 {
		t.Errorf("%d alarms, %d ends of them: %s", n, again, log.text.String())
	}
	mend()
	see("it has caught up", func(s *Status) bool { return works(s) && s.Epoch > failing.Epoch })
}

// overtaken: somebody opens a copy of the node's folder at its token. The node goes on with what it has, destroys nothing, and says so until it is started again.
func (w *world) overtaken(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "seal")
	if err := os.CopyFS(copied, os.DirFS(w.config.sealDir())); err != nil {
		t.Fatal(err)
	}
	err := os.Chmod(copied, 0o700)
	for _, name := range []string{"anchor", "lock"} {
		err = errors.Join(err, os.Chmod(filepath.Join(copied, name), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	thief, err := w.config.Seal.Open(t.Context(), copied)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	k := [32]byte{1}
	w.register("mallory", "correct horse battery", &k)
	eventually(t, "the node says that its keys were taken over", func() bool {
		return strings.Contains(w.vault.Status().Sealer.Error, "has taken the token's keys over")
	})
	if left := w.guessesLeft("mallory"); left != 10 {
		t.Errorf("%d guesses left", left)
	}
}

// nothingInTheClear looks for what stands in the core's state beside every secret of an account.
func (w *world) nothingInTheClear(t *testing.T, accounts ...wire.AccountID) {
	t.Helper()
	err := filepath.WalkDir(w.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // the store removes files
		}
		text, _ := os.ReadFile(path)
		for _, a := range accounts {
			if bytes.Contains(text, a[:]) {
				t.Errorf("%s has an account in the clear", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// heard is a log that a test reads meanwhile.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(text)
}

func (h *heard) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Count(h.text.String(), what)
}

func newTPM(t *testing.T) *hardware {
	tpm := emulated.NewTPM(t)
	signal := func(s syscall.Signal) func() {
		return func() {
			if err := tpm.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &hardware{Seal{Kind: seal.TPM2, Device: tpm.Socket}, signal(syscall.SIGSTOP), signal(syscall.SIGCONT), tpm.Kill, tpm.Start}
}

func newToken(t *testing.T) *hardware {
	token := emulated.NewToken(t)
	t.Setenv(emulated.ConfVariable, token.Conf)
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte(emulated.PIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var release func()
	move := func(from, to string) func() {
		return func() {
			os.RemoveAll(to) // SoftHSM2 may have made it anew
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &hardware{Seal{Kind: seal.PKCS11, Module: token.Module, Token: emulated.Label, PINFile: pin},
		func() { release = holdLocks(t, token.Dir) }, func() { release() }, move(token.Dir, token.Dir+".away"), move(token.Dir+".away", token.Dir)}
}

// holdVariable makes this program, started again, hold the locks of all files in a folder of tokens: SoftHSM2 waits for them without an end.
const holdVariable = "COFFER_TEST_HOLD"

func holdLocks(t *testing.T, tokens string) (release func()) {
	t.Helper()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdVariable+"="+tokens)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return sync.OnceFunc(func() {
		in.Close()
		holder.Wait()
	})
}

func holdMain(tokens string) int {
	names, err := filepath.Glob(filepath.Join(tokens, "*", "*"))
	for _, name := range names {
		file, opening := os.OpenFile(name, os.O_RDWR, 0)
		if opening != nil {
			continue // an object that is gone
		}
		if err == nil {
			err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLKW, &syscall.Flock_t{Type: syscall.F_WRLCK})
		}
		held = append(held, file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	os.Stdin.Read(make([]byte, 1))
	return 0
}

var held []*os.File

func init() {
	if tokens := os.Getenv(holdVariable); tokens != "" {
		os.Exit(holdMain(tokens))
	}
}
