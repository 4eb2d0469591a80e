// SPDX-License-Identifier: Apache-2.0

// Package install puts a schedule into the system's own scheduler, and takes it out again: systemd's user manager, launchd, or
// Windows' Task Scheduler.
//
// It guarantees that after a failed Install the scheduler has what it had before, and that Remove leaves nothing. It trusts
// the system's own tools, found in the PATH. It refuses to work around a scheduler that is not there.
//
// Only systemd is run in tests. What is told to launchd and the Task Scheduler is compared with golden files.
package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/internal/schedule"
)

// ErrNoScheduler means that the system's scheduler is not there for this user. Nothing was changed.
var ErrNoScheduler = errors.New("there is no scheduler here that can start a backup")

// The runners: what starts the runs of a schedule.
const (
	Systemd       = "systemd"
	Launchd       = "launchd"
	TaskScheduler = "task-scheduler"
	Cron          = "cron" // the user's own doing
)

// State is what the scheduler has of a schedule.
type State int

// The states.
const (
	Absent  State = iota
	Differs       // from what Install would put there, as after the program has moved
	Current
)

// System is the system as the installers see it. Here returns that of this process.
type System struct {
	OS     string // as runtime.GOOS
	User   string
	UID    int
	Home   string
	Config string // the user's folder of settings

	// Run runs a tool and returns what it prints. The error has what it complains of.
	Run func(ctx context.Context, tool string, args ...string) (string, error)
}

// Here returns the system of this process.
func Here() (System, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return System{}, err
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return System{}, err
	}
	s := System{OS: runtime.GOOS, UID: os.Getuid(), Home: home, Config: config, Run: run}
	if u, err := user.Current(); err == nil {
		s.User = u.Username
	}
	return s, nil
}

// scheduler is one system's.
type scheduler interface {
	install(ctx context.Context, c schedule.Command, p schedule.Plan) (notes []string, err error)
	remove(ctx context.Context, c schedule.Command) error
	state(ctx context.Context, c schedule.Command, p schedule.Plan) (State, error)
}

func (s System) scheduler(runner string) (scheduler, error) {
	switch runner {
	case Systemd:
		return systemd{s}, nil
	case Launchd:
		return launchd{s}, nil
	case TaskScheduler:
		return taskScheduler{s}, nil
	case Cron:
		return cron{}, nil
	}
	return nil, fmt.Errorf("%w: %s has none that this program knows", ErrNoScheduler, s.OS)
}

// Runner names the system's own scheduler, also where it does not run now; empty where we know none.
func (s System) Runner() string {
	return map[string]string{"linux": Systemd, "darwin": Launchd, "windows": TaskScheduler}[s.OS]
}

// Install makes the runner start c by p, in place of what it had of c. The notes are for people.
func (s System) Install(ctx context.Context, runner string, c schedule.Command, p schedule.Plan) (notes []string, err error) {
	r, err := s.scheduler(runner)
	if err != nil {
		return nil, err
	}
	return r.install(ctx, c, p)
}

// Remove takes c out of the runner; it may not be there.
func (s System) Remove(ctx context.Context, runner string, c schedule.Command) error {
	r, err := s.scheduler(runner)
	if err != nil {
		return err
	}
	return r.remove(ctx, c)
}

// State says what the runner has of c.
func (s System) State(ctx context.Context, runner string, c schedule.Command, p schedule.Plan) (State, error) {
	r, err := s.scheduler(runner)
	if err != nil {
		return Absent, err
	}
	return r.state(ctx, c, p)
}

// cron's table is the user's own: there is no way to change one line of it that does not risk the others.
type cron struct{}

func (cron) install(context.Context, schedule.Command, schedule.Plan) ([]string, error) {
	return nil, nil
}
func (cron) remove(context.Context, schedule.Command) error { return nil }
func (cron) state(context.Context, schedule.Command, schedule.Plan) (State, error) {
	return Current, nil
}

const (
	toolTime     = 30 * time.Second
	maxComplaint = 2000 // bytes of what a tool complains of
)

func run(ctx context.Context, tool string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(string(complaint.Bytes()[:min(complaint.Len(), maxComplaint)]))
		return out.String(), fmt.Errorf("%s: %w: %s", tool, err, text)
	}
	return out.String(), nil
}

// Program returns the path under which this program is to be started: as it is found in the PATH, where that is this program, because
// a package manager changes what lies behind the name and keeps the name.
func Program() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	found, err := exec.LookPath(filepath.Base(os.Args[0]))
	if err != nil {
		return exe, nil
	}
	a, errA := os.Stat(found)
	b, errB := os.Stat(exe)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return exe, nil
	}
	return filepath.Abs(found)
}
