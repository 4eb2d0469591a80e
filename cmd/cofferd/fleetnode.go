// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/vault"
)

// fleetNode is one replica of cofferd dev: a folder, and a process that anybody may stop, kill and start again.
type fleetNode struct {
	slot   vault.Slot
	dir    string
	client *operator.Client

	process *exec.Cmd     // nil: this program did not start it
	ended   chan struct{} // closed when process has
}

func newFleetNode(dir string, slot vault.Slot) *fleetNode {
	dir = filepath.Join(dir, fmt.Sprintf("replica-%d", slot))
	return &fleetNode{slot: slot, dir: dir, client: operator.NewClient(dir)}
}

func (n *fleetNode) file() string    { return filepath.Join(n.dir, "node.toml") }
func (n *fleetNode) log() string     { return filepath.Join(n.dir, "log") }
func (n *fleetNode) pidFile() string { return filepath.Join(n.dir, "pid") }

// joined is a file that says that the node has its place in the fleet. Without it an interrupted create or join is repeated.
func (n *fleetNode) joinedFile() string { return filepath.Join(n.dir, "joined") }

func (n *fleetNode) joined() bool {
	_, err := os.Stat(n.joinedFile())
	return err == nil
}

// write makes the folder and the node's file, if they are not there: people may have changed the file.
func (n *fleetNode) write(text string) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(n.file()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(n.file()+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(n.file()+".new", n.file())
}

// do runs a command of the node to its end.
func (n *fleetNode) do(ctx context.Context, stdin string, command string) error {
	cmd, err := n.command(ctx, command)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &said, &said
	cmd.WaitDelay = drainTimeout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cofferd vault %s --config %s: %w\n%s", command, n.file(), err, said.Bytes())
	}
	return nil
}

func (n *fleetNode) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append(append([]string{"vault"}, args...), "--config", n.file())...)
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	ownGroup(cmd) // what is typed at the terminal is for this program, which stops the nodes in order
	return cmd, nil
}

// running reports whether the node runs, whoever started it.
func (n *fleetNode) running(ctx context.Context) bool {
	_, err := n.client.Status(ctx)
	return err == nil
}

// start starts the node, unless it runs. It outlives ctx, for its orderly end.
func (n *fleetNode) start(ctx context.Context) error {
	if n.running(ctx) {
		return nil
	}
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd, err := n.command(context.WithoutCancel(ctx), "run")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	n.process, n.ended = cmd, make(chan struct{})
	go func() {
		cmd.Wait() // what went wrong is in the log
		close(n.ended)
	}()
	return nil
}

// await polls the node until it is as wanted. A process that ended is an error: nobody starts it again.
func (n *fleetNode) await(ctx context.Context, wanted func(*operator.Status) bool) error {
	for look := time.NewTicker(20 * time.Millisecond); ; {
		if s, err := n.client.Status(ctx); err == nil && wanted(&s) {
			return nil
		}
		select {
		case <-look.C:
		case <-n.ended: // nil, so never, if this program did not start it
			return fmt.Errorf("replica %d ended by itself: see %s", n.slot, n.log())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
