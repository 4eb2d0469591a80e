// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A job is one thing that a contender does: a pipeline of one or more processes.
type job struct {
	args [][]string // each process reads what the one before it writes
	dir  string
	env  []string // beside the harness's own
	out  string   // the file for the last one's output; none if empty
}

// cost is what a job took, over all its processes and their children.
type cost struct {
	wall, cpu time.Duration // cpu is user and system time
	rssBytes  int64         // the most that was resident at one moment
}

type running struct {
	job   job
	procs []*exec.Cmd
	began time.Time
	peak  chan int64 // the sampler's result, once done is closed
	done  chan struct{}
}

// run syncs, so that no job pays for what another wrote, and runs j to its end.
func (j job) run(ctx context.Context) (cost, error) {
	syscall.Sync()
	r, err := j.start(ctx)
	if err != nil {
		return cost{}, err
	}
	return r.wait()
}

func (j job) start(ctx context.Context) (*running, error) {
	var output io.Writer
	if j.out != "" {
		f, err := os.Create(j.out)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		output = f
	}
	r := &running{job: j, began: time.Now(), peak: make(chan int64, 1), done: make(chan struct{})}
	var input io.ReadCloser
	for i, args := range j.args {
		next, err := r.startOne(ctx, args, input, output, i == len(j.args)-1)
		if input != nil {
			// Only the reader may hold a pipe: if it dies, the writer must notice.
			input.Close()
		}
		if err != nil {
			r.kill()
			return nil, fmt.Errorf("%s: %w", args[0], err)
		}
		input = next
	}
	go r.sample()
	return r, nil
}

// startOne adds a process to the pipeline, and returns the input of the next one.
func (r *running) startOne(ctx context.Context, args []string, input io.Reader, output io.Writer, last bool) (next io.ReadCloser, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = r.job.dir
	cmd.Env = append(os.Environ(), r.job.env...)
	cmd.Stdin, cmd.Stderr = input, new(bytes.Buffer)
	// One process group, so that kill reaches children too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: r.group()}
	if last {
		cmd.Stdout = output
	} else if next, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.procs = append(r.procs, cmd)
	return next, nil
}

// wait returns the cost even beside an error, which tells what went wrong.
func (r *running) wait() (c cost, err error) {
	for i, p := range r.procs {
		if e := p.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w: %s", strings.Join(r.job.args[i], " "), e, p.Stderr))
		}
		usage := p.ProcessState.SysUsage().(*syscall.Rusage)
		c.cpu += p.ProcessState.UserTime() + p.ProcessState.SystemTime()
		c.rssBytes = max(c.rssBytes, int64(usage.Maxrss)*1024)
	}
	c.wall = time.Since(r.began)
	close(r.done)
	c.rssBytes = max(c.rssBytes, <-r.peak)
	return c, err
}

// kill ends all processes of the job as a loss of power would.
func (r *running) kill() {
	if group := r.group(); group != 0 {
		_ = syscall.Kill(-group, syscall.SIGKILL) // gone already is as good
	}
}

func (r *running) group() int {
	if len(r.procs) == 0 {
		return 0
	}
	return r.procs[0].Process.Pid
}

// sample watches what the processes of the job hold together. The system keeps a
// peak of each process, but not of their sum.
func (r *running) sample() {
	var peak int64
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			r.peak <- peak
			return
		case <-tick.C:
			var sum int64
			for _, p := range r.procs {
				sum += residentBytes(strconv.Itoa(p.Process.Pid))
			}
			peak = max(peak, sum)
		}
	}
}

// residentBytes adds up the process and its descendants. What has ended counts 0.
func residentBytes(pid string) int64 {
	var sum int64
	if statm, err := os.ReadFile("/proc/" + pid + "/statm"); err == nil {
		if fields := strings.Fields(string(statm)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			sum = pages * int64(os.Getpagesize())
		}
	}
	lists, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			sum += residentBytes(child)
		}
	}
	return sum
}
