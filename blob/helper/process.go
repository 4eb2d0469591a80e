// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a running helper.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	gone   chan struct{}
	killed sync.Once
}

func startProcess(config Config) (*process, error) {
	p := &process{cmd: exec.Command(config.Command[0], config.Command[1:]...), gone: make(chan struct{})}
	p.cmd.Env = environment(os.Environ())
	inOwnGroup(p.cmd)

	var theirs []*os.File
	defer func() {
		for _, file := range theirs {
			file.Close()
		}
	}()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			p.cmd.Err = errors.Join(p.cmd.Err, err)
		}
		return r, w
	}
	stdin, ourStdin := pipe()
	ourStdout, stdout := pipe()
	ourStderr, stderr := pipe()
	theirs = []*os.File{stdin, stdout, stderr}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, stderr
	p.stdin, p.stdout = ourStdin, ourStdout
	if err := p.cmd.Start(); err != nil {
		theirs = append(theirs, ourStdin, ourStdout, ourStderr)
		return nil, startError(config.Command[0], err)
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		readLines(ourStderr, config.Stderr)
	}()
	go p.wait(ourStderr, said)
	return p, nil
}

func startError(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("the program %s is not installed; put it beside this one or into a folder of PATH", name)
	}
	return fmt.Errorf("start %s: %w", name, err)
}

// wait notes the end of the process. A child of the helper's may still hold the pipes open, so they
// are closed here.
func (p *process) wait(stderr *os.File, said <-chan struct{}) {
	_ = p.cmd.Wait() // its state says it all
	select {
	case <-said:
	case <-time.After(time.Second):
	}
	stderr.Close()
	<-said
	close(p.gone)
}

func (p *process) peer() peer { return peer{kill: p.kill, gone: p.gone, status: p.status} }

// kill ends the process and all that it has started, and the reads and writes of its pipes.
func (p *process) kill() {
	p.killed.Do(func() {
		select {
		case <-p.gone: // its number may be another's by now
		default:
			killGroup(p.cmd.Process)
		}
		p.stdin.Close()
		p.stdout.Close()
	})
}

func (p *process) status() string { return p.cmd.ProcessState.String() }

func (p *process) success() bool { return p.cmd.ProcessState.Success() }

// readLines passes on what a helper says, to its end. A line that is longer than maxText is cut.
func readLines(r io.Reader, tell func(line string)) {
	lines := bufio.NewReaderSize(r, 2*maxText)
	for more := false; ; {
		line, cut, err := lines.ReadLine()
		if err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if text := strings.TrimSpace(printable(string(line))); tell != nil && !more && text != "" {
			tell(text)
		}
		more = cut
	}
}
