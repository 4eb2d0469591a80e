// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"time"
)

// stop ends the node in order, whoever started it, and a process that hangs in any way.
func (n *fleetNode) stop(ctx context.Context) error {
	s, err := n.client.Status(ctx)
	if err != nil {
		return n.kill() // it does not answer, or does not run
	}
	process, err := os.FindProcess(s.PID)
	if err != nil {
		return err
	}
	if err := interrupt(process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodeStopTimeout)
	defer cancel()
	for look := time.NewTicker(20 * time.Millisecond); exists(n.pidFile()); { // it is the last thing that goes
		select {
		case <-look.C:
		case <-ctx.Done():
			return n.kill()
		}
	}
	return n.wait(ctx)
}

// nodeStopTimeout is longer than a node takes to hand over and a core to stop.
const nodeStopTimeout = 20 * time.Second

// wait returns when the process that this program started is gone.
func (n *fleetNode) wait(ctx context.Context) error {
	if n.process == nil {
		return nil
	}
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return n.kill()
	}
}

func (n *fleetNode) kill() error {
	if n.process == nil {
		return nil
	}
	if err := n.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.ended
	return nil
}

// interrupt asks a process to end. Windows has no such signal for others.
func interrupt(p *os.Process) error {
	err := p.Signal(os.Interrupt)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return p.Kill()
	}
	return err
}
