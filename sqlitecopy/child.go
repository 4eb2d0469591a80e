// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A request is src NUL dst NUL on the child's standard input, which the parent
// holds open for as long as it wants the copy. The report, on its standard
// output, is one of the words below, NUL, and the text of the error.

const done = "done"

var failures = []struct {
	word string
	err  error
}{
	{"not-database", ErrNotDatabase},
	{"busy", ErrBusy},
	{"full", ErrFull},
	{"exists", fs.ErrExist},
	{"missing", fs.ErrNotExist},
	{"denied", fs.ErrPermission},
	{"failed", errors.New("failed")}, // anything else
}

// Child returns a function of [Copy]'s shape that makes each copy in a process
// of its own, exe with args, which must call [ChildMain]. Its errors are those
// of Copy. Cancelling ctx kills the child; neither dst nor anything else is
// left of it.
//
// If exe does not come to ChildMain and copies databases itself, its copies fail: else each process would begin another, without end.
func Child(exe string, args ...string) func(ctx context.Context, src, dst string) error {
	return func(ctx context.Context, src, dst string) error {
		if strings.Contains(src+dst, "\x00") {
			return fmt.Errorf("copy database %q to %q: NUL in a path: %w", src, dst, fs.ErrInvalid)
		}
		dst, err := filepath.Abs(dst)
		if err == nil {
			err = checkAbsent(dst)
		}
		if err != nil {
			return fmt.Errorf("copy database %q: %w", src, err)
		}
		if err := runChild(ctx, src+"\x00"+dst+"\x00", exe, args...); err != nil {
			// Neither was there before, so both are the child's.
			os.RemoveAll(dst + workSuffix)
			os.Remove(dst)
			return err
		}
		return nil
	}
}

// childVariable is set in the environment of children.
const childVariable = "COFFER_COPIES_A_DATABASE"

func runChild(ctx context.Context, request, exe string, args ...string) error {
	if os.Getenv(childVariable) != "" {
		return errors.New("this process was begun to copy a database and must call sqlitecopy.ChildMain before anything else")
	}
	stdin, feed, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	defer feed.Close()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Stdin = stdin
	cmd.Env = append(cmd.Environ(), childVariable+"=1")
	// Paths can be longer than a pipe holds. If the child dies before it has
	// read them, the write ends with the pipe; its death is what we report.
	go io.WriteString(feed, request)
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if word, text, ok := strings.Cut(string(out), "\x00"); ok {
		if word == done && err == nil {
			return nil
		}
		for _, f := range failures {
			if word == f.word {
				return &childError{kind: f.err, text: text}
			}
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("process that copies databases: %w: %.500s", err, exit.Stderr)
	}
	if err == nil {
		err = errors.New("ended without a report")
	}
	return fmt.Errorf("process that copies databases: %w", err)
}

// childError is an error of Copy as it arrives from the child.
type childError struct {
	kind error
	text string
}

func (e *childError) Error() string { return e.text }
func (e *childError) Unwrap() error { return e.kind }

// maxPath bounds a path in a request, in bytes.
const maxPath = 128 << 10

// ChildMain is the child's side of [Child]: it reads one request from stdin,
// makes the copy, reports on stdout, and returns the process's exit code. If
// stdin ends before the copy is done, the parent is gone and the copy is given
// up.
func ChildMain(stdin io.Reader, stdout io.Writer) int {
	err := serve(stdin)
	if err == nil {
		fmt.Fprint(stdout, done+"\x00")
		return 0
	}
	word := ""
	for _, f := range failures {
		word = f.word
		if errors.Is(err, f.err) {
			break
		}
	}
	fmt.Fprint(stdout, word+"\x00"+err.Error())
	return 1
}

func serve(stdin io.Reader) error {
	in := bufio.NewReaderSize(stdin, maxPath)
	src, dst, err := readRequest(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	return Copy(ctx, src, dst)
}

func readRequest(in *bufio.Reader) (src, dst string, err error) {
	var paths [2]string
	for i := range paths {
		path, err := in.ReadSlice(0)
		if err != nil {
			return "", "", fmt.Errorf("request to copy a database: %w", err)
		}
		paths[i] = string(path[:len(path)-1])
	}
	return paths[0], paths[1], nil
}
