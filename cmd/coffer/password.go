// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
	"golang.org/x/term"
)

// A password comes from a terminal that does not show it, from a file, or from standard input; never from an argument or
// the environment. Nothing is trimmed off it but the end of the line: spaces are part of it.

// maxPasswordLine bounds a line that holds a password, in bytes. The longest password takes a quarter.
const maxPasswordLine = 4096

// password reads one from the file, - for the next line of standard input, or asks for it.
func (a *app) password(file, flag, question string) (string, error) {
	if file != "" {
		return a.readPasswordFile(file)
	}
	if !a.interactive() {
		return "", usagef("the password is needed, and there is no terminal to ask on; give %s FILE, or %s - for standard input", flag, flag)
	}
	return a.askSecret(question)
}

// askSecret reads one line that is not shown. It asks when the terminal shows nothing any more: a quick answer would be seen.
func (a *app) askSecret(question string) (string, error) {
	fd := int(a.in.Fd())
	shows, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(fd, shows) // after a signal too, when the reader still waits and would leave a terminal that shows nothing
	ask := func() {
		awaitChange(fd, *shows)
		fmt.Fprint(a.err, question)
	}
	return a.wait(ask, func() (string, error) {
		line, err := term.ReadPassword(fd)
		defer clear(line)
		fmt.Fprintln(a.err)
		return string(line), err
	})
}

// awaitChange waits until the reader has changed the terminal's state, or long enough for one that it leaves as it is.
func awaitChange(fd int, before term.State) {
	for range 1000 {
		if now, err := term.GetState(fd); err != nil || *now != before {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (a *app) readPasswordFile(path string) (string, error) {
	return a.readSecretFile("password", path)
}

// readSecretFile reads the one line of a file; what says for errors which secret it is.
func (a *app) readSecretFile(what, path string) (string, error) {
	if path == "-" {
		return secretLine(a.lines, what, "standard input")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", usagef("%s file: %w", what, err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, maxPasswordLine)
	line, err := secretLine(r, what, path)
	if err != nil {
		return "", err
	}
	if _, err := r.ReadByte(); err == nil {
		return "", usagef("%s file %s: it has more than one line", what, path)
	}
	return line, nil
}

// secretLine reads one line of bounded length.
func secretLine(r *bufio.Reader, what, from string) (string, error) {
	line, err := r.ReadSlice('\n')
	defer clear(line)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", usagef("%s: the line is too long for a %s", from, what)
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("%s: %w", from, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	if text == "" {
		return "", usagef("%s: there is no %s in it", from, what)
	}
	return text, nil
}

// newPassword reads a password that is about to be set. On a terminal it is typed twice.
func (a *app) newPassword(file, flag string, judge func(string) error) (pass string, err error) {
	err = a.retry(file, func() error {
		if pass, err = a.password(file, flag, "New password of the backup (it is not shown): "); err != nil {
			return err
		}
		if err := judge(pass); err != nil || file != "" {
			return err
		}
		return a.typedAgain(pass)
	})
	return pass, err
}

func (a *app) typedAgain(pass string) error {
	again, err := a.askSecret("The same once more: ")
	if err == nil && again != pass {
		err = errTypedDifferently
	}
	return err
}

var errTypedDifferently = errors.New("the two are not the same")

// retry lets a person at a terminal try again, some times, what costs nothing. A file is read once.
func (a *app) retry(file string, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		mistyped := errors.Is(err, errTypedDifferently) || errors.Is(err, coffer.ErrOtherPassword) ||
			errors.Is(err, coffer.ErrWeakPassword) || errors.Is(err, recovery.ErrPassword)
		if !mistyped || file != "" || n == tries {
			return err
		}
		fmt.Fprintf(a.err, "%s. Try again.\n", strings.TrimSuffix(escaped(err.Error()), "."))
	}
}
