// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask prints a question and reads one line. A signal ends the wait; the reader then dies with the process.
func (a *app) ask(question string) (string, error) {
	fmt.Fprint(a.err, question)
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(a.in).ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-a.ctx.Done():
		fmt.Fprintln(a.err)
		return "", errors.New("interrupted at the question; nothing was done")
	case g := <-got:
		return strings.TrimSpace(g.line), g.err
	}
}

// confirm wants to see yes typed.
func (a *app) confirm(yes bool, warning string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.in) {
		return usagef("this needs a confirmation, and there is no terminal to ask on; add --yes if you mean it")
	}
	line, err := a.ask(warning + "\nType yes to go on: ")
	if err == nil && line != "yes" {
		err = errors.New("that was not yes; nothing was done")
	}
	return err
}
