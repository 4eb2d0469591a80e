// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// devVault is a child process: cofferd dev, a vault for development with its gateway and issuer.
type devVault struct {
	URL    string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has
	result error         // then
}

// findCofferd looks beside this program first, so that the two are of one version.
func findCofferd() (string, error) {
	if self, err := os.Executable(); err == nil {
		if found, err := exec.LookPath(filepath.Join(filepath.Dir(self), "cofferd")); err == nil {
			return found, nil
		}
	}
	found, err := exec.LookPath("cofferd")
	if err != nil {
		return "", outcome{codeFailed, "the program cofferd is neither beside coffer nor in the PATH", "Build it: go build ./cmd/cofferd"}
	}
	return found, nil
}

const (
	vaultPatience = time.Minute // until a vault serves
	vaultStop     = 30 * time.Second
)

// startVault starts a vault that keeps its state, and its log, in dir.
func startVault(ctx context.Context, program, dir string, flags ...string) (*devVault, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ready, logFile := filepath.Join(dir, "ready"), filepath.Join(dir, "log")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append([]string{"dev", "--dir", filepath.Join(dir, "state"), "--ready-file", ready}, flags...)
	v := &devVault{cmd: exec.CommandContext(ctx, program, args...), ended: make(chan struct{})}
	v.cmd.Stdout, v.cmd.Stderr = log, log
	v.cmd.Cancel = func() error { return interrupt(v.cmd.Process) }
	v.cmd.WaitDelay = vaultStop
	ownGroup(v.cmd) // a second Ctrl-C would kill it before its replicas have stopped
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		v.result = v.cmd.Wait()
		close(v.ended)
	}()
	if v.URL, err = v.await(ctx, ready); err != nil {
		v.stop()
		text, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("%s does not start: %w\n%s", program, err, text)
	}
	return v, nil
}

// await waits for the file into which the vault writes its address when it serves.
func (v *devVault) await(ctx context.Context, ready string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if text, err := os.ReadFile(ready); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		select {
		case <-look.C:
		case <-v.ended:
			return "", fmt.Errorf("it ended: %w", errors.Join(v.result, errEnded))
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

var errEnded = errors.New("before it served")

// stop ends the vault in an orderly way, or after a while in any way.
func (v *devVault) stop() {
	interrupt(v.cmd.Process)
	select {
	case <-v.ended:
	case <-time.After(vaultStop):
		v.cmd.Process.Kill()
		<-v.ended
	}
}

// interrupt asks a process to end. Windows has no such signal for a child.
func interrupt(p *os.Process) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return p.Kill()
	}
	return nil
}
