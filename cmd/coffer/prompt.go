// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/coffer-backup/coffer"
	"golang.org/x/term"
)

// Questions go to standard error and answers come from standard input, both a terminal: whoever pipes the
// result away still sees them.

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func (a *app) interactive() bool { return isTerminal(a.in) && isTerminal(a.err) }

// remark tells the user something that is not the result.
func (a *app) remark(format string, args ...any) {
	if !a.cli.Quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// warn tells the user what he must know also with --quiet.
func (a *app) warn(format string, args ...any) {
	text := escaped(fmt.Sprintf(format, args...))
	a.warned = append(a.warned, text)
	fmt.Fprintf(a.err, "coffer: note: %s\n", text)
}

func (a *app) notices(notices []string) {
	for _, n := range notices {
		a.remark("note: %s", escaped(n))
	}
}

// ask prints a question and reads one line.
func (a *app) ask(question string) (string, error) {
	line, err := a.wait(func() { fmt.Fprint(a.err, question) }, func() (string, error) {
		line, err := a.lines.ReadString('\n')
		if err == io.EOF && line != "" {
			err = nil
		}
		return line, err
	})
	return strings.TrimSpace(line), err
}

// wait asks and waits for the answer. A signal ends the wait; the reader then dies with the process.
func (a *app) wait(ask func(), read func() (string, error)) (string, error) {
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := read()
		got <- answer{line, err}
	}()
	ask()
	select {
	case <-a.ctx.Done():
		fmt.Fprintln(a.err)
		return "", outcome{codeInterrupted, "interrupted at the question; nothing was done", "Run the same command again."}
	case g := <-got:
		if errors.Is(g.err, io.EOF) {
			return "", usagef("the input ended at the question")
		}
		return g.line, g.err
	}
}

// confirm wants to see a certain word typed. --yes types it.
func (a *app) confirm(warning, word string) error {
	if a.cli.Yes {
		return nil
	}
	if !a.interactive() {
		return usagef("this needs a confirmation, and there is no terminal to ask on; add --yes if you mean it")
	}
	fmt.Fprintln(a.err, warning)
	line, err := a.ask(fmt.Sprintf("Type %s to go on: ", word))
	if err != nil {
		return err
	}
	if line != word {
		return outcome{codeFailed, "that was not " + word + "; nothing was done", ""}
	}
	return nil
}

const keyDigits = 64

// askKey reads the 64 digits, over as many lines as they come in. They are shown as they are
// typed: nobody types 64 digits blind.
func (a *app) askKey() (coffer.Key, error) {
	if !a.interactive() {
		return coffer.Key{}, usagef("the backup key is needed, and there is no terminal to ask on; give --key-file FILE, or --key-file - for standard input")
	}
	text, err := a.ask("Type or paste the 64 digits of the backup key (they are shown as you type):\n> ")
	for err == nil && hexDigits(text) < keyDigits {
		var more string
		if more, err = a.ask("> "); more == "" {
			break
		}
		text += " " + more
	}
	if err != nil {
		return coffer.Key{}, err
	}
	return coffer.ParseKey(text)
}

func hexDigits(s string) (n int) {
	for _, r := range s {
		if strings.ContainsRune("0123456789abcdefABCDEF", r) {
			n++
		}
	}
	return n
}

// showKey prints the key in four lines of four groups.
func showKey(w io.Writer, key coffer.Key) {
	groups := strings.Fields(key.Digits())
	for i := 0; i < len(groups); i += 4 {
		fmt.Fprintf(w, "    %s\n", strings.Join(groups[i:i+4], " "))
	}
}

// typeBack makes sure that the user has the key on paper, or wherever he keeps it: he types two of its groups.
func (a *app) typeBack(key coffer.Key) error {
	groups := strings.Fields(key.Digits())
	picked := rand.Perm(len(groups))[:2]
	for _, i := range picked {
		for try := 1; ; try++ {
			line, err := a.ask(fmt.Sprintf("To show that you have written it down, type group %d of %d: ", i+1, len(groups)))
			if err != nil {
				return err
			}
			if strings.EqualFold(line, groups[i]) {
				break
			}
			if try == 3 {
				return outcome{codeFailed, fmt.Sprintf("group %d was wrong three times; nothing was done", i+1), "Write the key down, then run the same command again. It will be another key."}
			}
			fmt.Fprintf(a.err, "That is not group %d. Count from the top left, in lines of four.\n", i+1)
		}
	}
	return nil
}
