// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/rogpeppe/go-internal/testscript"
)

// tests builds cofferd when the first test needs a vault, and removes it after the last.
type tests struct{ *testing.M }

var cofferdDir string

func (t tests) Run() int {
	defer func() { os.RemoveAll(cofferdDir) }()
	return t.M.Run()
}

var buildCofferd = sync.OnceValues(func() (program string, err error) {
	if cofferdDir, err = os.MkdirTemp("", "cofferd-"); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", cofferdDir, "../cofferd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build ../cofferd: %w\n%s", err, out)
	}
	return exec.LookPath(filepath.Join(cofferdDir, "cofferd"))
})

// vaults are the vaults of the scripts, each of which has one at most.
type vaults struct {
	mu      sync.Mutex
	running map[string]*devVault // by the script's folder
}

// command is vault start [FLAGS...], vault stop, vault kill and vault path. Start sets VAULT to the address, which is the same when the
// vault of a script is started again, as is what it keeps. Path puts cofferd into the PATH.
func (v *vaults) command(ts *testscript.TestScript, _ bool, args []string) {
	work := ts.Getenv("WORK")
	switch args[0] {
	case "start":
		v.start(ts, work, args[1:])
	case "path":
		program, err := buildCofferd()
		ts.Check(err)
		ts.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+ts.Getenv("PATH"))
	case "stop":
		v.end(work).stop()
	case "kill":
		running := v.end(work)
		ts.Check(running.cmd.Process.Kill())
		<-running.ended
	default:
		ts.Fatalf("there is no vault %s", args[0])
	}
}

func (v *vaults) start(ts *testscript.TestScript, work string, flags []string) {
	program, err := buildCofferd()
	ts.Check(err)
	listen := "127.0.0.1:0"
	if url := ts.Getenv("VAULT"); url != "" {
		listen = strings.TrimPrefix(url, "http://")
	}
	started, err := startVault(context.Background(), program, filepath.Join(work, "vault"), append([]string{"--listen", listen}, flags...)...)
	ts.Check(err)
	ts.Setenv("VAULT", started.URL)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running[work] = started
	ts.Defer(func() {
		if running := v.end(work); running != nil {
			running.stop()
		}
	})
}

// end takes a script's vault out of those that run.
func (v *vaults) end(work string) *devVault {
	v.mu.Lock()
	defer v.mu.Unlock()
	running := v.running[work]
	delete(v.running, work)
	return running
}

// killwhen GLOB TEXT PROGRAM ARGS... kills a program as soon as a file of that name has the text in it. It may be over before.
func killWhen(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), append(os.Environ(), "COFFER_HOME="+ts.Getenv("COFFER_HOME"))
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			ts.Logf("it ended before it was killed: %v", err)
			return
		default:
		}
		if holds(ts.MkAbs(args[0]), args[1]) {
			ts.Check(cmd.Process.Kill())
			ts.Logf("killed: %v", <-ended)
			return
		}
		runtime.Gosched()
	}
}

func holds(glob, text string) bool {
	names, _ := filepath.Glob(glob)
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}

func TestNoCofferd(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findCofferd()
	if code, _, todo := testApp(t).judge(err); code != codeFailed || !strings.Contains(todo, "go build ./cmd/cofferd") {
		t.Errorf("exit code %d, %q", code, todo)
	}
}

// What a script cannot bring about without waiting for it.
func TestPasswordLine(t *testing.T) {
	for state, want := range map[string]string{
		"none": "none is set", "unknown": "could not be asked", "exhausted": "within minutes", "destroyed": "for ever", "retained": "retained",
	} {
		p := vaultPart{VaultStatus: coffer.VaultStatus{State: state}}
		if got := p.line(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
	if _, _, todo := testApp(t).judge(recovery.ErrExhausted); !strings.Contains(todo, "--key-file FILE") {
		t.Errorf("no guess is left: %q", todo)
	}
	if code, cause, todo := testApp(t).judge(recovery.ErrReplaced); code != codeReplaced || cause != coffer.CauseReplaced || !strings.Contains(todo, "--password") {
		t.Errorf("replaced: exit code %d, %s, %q", code, cause, todo)
	}
}
