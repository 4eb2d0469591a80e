// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/coffer-backup/coffer/vault"
)

// askPIN has a token's PIN typed, at a terminal that does not show it. It stays in this process's memory, which is hidden from other processes, as long as
// that runs: a core that has to be started again needs it again.
func (a *app) askPIN(token string) (vault.Secret, error) {
	terminal := a.in
	if !isTerminal(terminal) { // it may be where a ticket comes from
		var err error
		if terminal, err = os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil {
			return nil, usagef("the PIN of the token %q is needed, and there is no terminal to ask on: name a file with it as pin_file under [pkcs11], which nobody but this user may read", token)
		}
		defer terminal.Close()
	}
	if err := hideMemory(); err != nil {
		return nil, fmt.Errorf("this process cannot keep a PIN to itself: %w", err)
	}
	pin, err := a.readHidden(terminal, fmt.Sprintf("PIN of the token %q: ", token))
	if err == nil && len(pin) == 0 {
		err = usagef("no PIN was typed; nothing was done")
	}
	if err != nil {
		return nil, err
	}
	return vault.Kept(pin), nil
}

// readHidden reads a line that is not shown. It asks when the terminal shows nothing any more. A signal ends the wait, and the reader dies with the process.
func (a *app) readHidden(terminal *os.File, question string) ([]byte, error) {
	fd := int(terminal.Fd())
	shows, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	defer term.Restore(fd, shows)
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	awaitHidden(a.ctx, fd, *shows)
	fmt.Fprint(a.err, question)
	defer fmt.Fprintln(a.err)
	select {
	case <-a.ctx.Done():
		return nil, errors.New("interrupted at the question; nothing was done")
	case g := <-got:
		return g.line, g.err
	}
}

// awaitHidden waits until the terminal is in another state, or long enough for one that stays as it is.
func awaitHidden(ctx context.Context, fd int, before term.State) {
	const looks = 1000
	for range looks {
		if now, err := term.GetState(fd); err != nil || *now != before || ctx.Err() != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
