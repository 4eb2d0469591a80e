// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/schedule"
)

func plan(t *testing.T, w schedule.Words) schedule.Plan {
	t.Helper()
	p, err := schedule.Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// leftIn fails if a file of that name is left below a folder.
func leftIn(t *testing.T, dir, name string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.Contains(e.Name(), name) {
			t.Errorf("%s is left", path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// tools stand in for a system's own: for those that this system has not, and for failures that the real one does not show when asked.
type tools struct {
	calls []string
	fails string // the calls that fail begin so
}

func (f *tools) run(_ context.Context, tool string, args ...string) (string, error) {
	call := strings.Join(append([]string{tool}, args...), " ")
	f.calls = append(f.calls, call)
	if f.fails != "" && strings.HasPrefix(call, f.fails) {
		return "", errors.New("refused")
	}
	return "", nil
}

func fake(t *testing.T, system string) (System, *tools, schedule.Command) {
	t.Helper()
	f := &tools{}
	home := t.TempDir()
	c, err := schedule.NewCommand("/opt/coffer", "/srv/state")
	if err != nil {
		t.Fatal(err)
	}
	return System{OS: system, User: "someone", UID: 501, Home: home, Config: filepath.Join(home, "config"), Run: f.run}, f, c
}

// What fails leaves what was there, the files and what systemd was told.
func TestFailedInstallChangesNothing(t *testing.T) {
	daily, later := plan(t, schedule.Words{Every: "daily"}), plan(t, schedule.Words{Every: "daily", At: "03:30"})
	for _, step := range []string{"systemctl --user --no-ask-password show", "systemctl --user --no-ask-password daemon-reload", "systemctl --user --no-ask-password enable", "systemctl --user --no-ask-password restart"} {
		s, f, c := fake(t, "linux")
		f.fails = step
		if _, err := s.Install(t.Context(), Systemd, c, daily); err == nil {
			t.Errorf("%s fails, and nobody says so", step)
		} else if errors.Is(err, ErrNoScheduler) != strings.HasSuffix(step, "show") {
			t.Errorf("%s: %v", step, err)
		}
		leftIn(t, s.Config, c.Name())

		f.fails = ""
		if _, err := s.Install(t.Context(), Systemd, c, daily); err != nil {
			t.Fatal(err)
		}
		f.fails = step
		if _, err := s.Install(t.Context(), Systemd, c, later); err == nil {
			t.Errorf("%s fails the second time, and nobody says so", step)
		}
		f.fails = ""
		if state, err := s.State(t.Context(), Systemd, c, daily); err != nil || state != Current {
			t.Errorf("%s: the earlier timer is %v, %v", step, state, err)
		}
	}
}

// Where systemd does not answer any more, its files are removed all the same.
func TestRemoveWithoutSystemd(t *testing.T) {
	s, f, c := fake(t, "linux")
	if _, err := s.Install(t.Context(), Systemd, c, plan(t, schedule.Words{Every: "daily"})); err != nil {
		t.Fatal(err)
	}
	wants := filepath.Join(s.Config, "systemd/user/timers.target.wants")
	if err := errors.Join(os.Mkdir(wants, 0o700), os.Symlink("../"+timer(c), filepath.Join(wants, timer(c)))); err != nil {
		t.Fatal(err)
	}
	f.fails = "systemctl"
	if err := s.Remove(t.Context(), Systemd, c); err != nil {
		t.Error(err)
	}
	leftIn(t, s.Config, c.Name())
}

func TestLingering(t *testing.T) {
	s, _, c := fake(t, "linux")
	for answer, want := range map[string]int{"yes\n": 0, "no\n": 1, "": 1} {
		s.Run = func(_ context.Context, tool string, args ...string) (string, error) {
			if tool == "loginctl" {
				return answer, nil
			}
			return "", nil
		}
		notes, err := s.Install(t.Context(), Systemd, c, plan(t, schedule.Words{Every: "daily"}))
		if err != nil || len(notes) != want || want == 1 && !strings.Contains(notes[0], "loginctl enable-linger") {
			t.Errorf("%q: %q, %v", answer, notes, err)
		}
	}
}

func TestLaunchd(t *testing.T) {
	s, f, c := fake(t, "darwin")
	p := plan(t, schedule.Words{Every: "weekly"})
	if _, err := s.Install(t.Context(), s.Runner(), c, p); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Home, "Library/LaunchAgents", c.Label()+".plist")
	want := []string{"launchctl bootout gui/501/" + c.Label(), "launchctl bootstrap gui/501 " + path}
	if !slices.Equal(f.calls, want) {
		t.Errorf("calls %q, want %q", f.calls, want)
	}
	if state, err := s.State(t.Context(), Launchd, c, p); err != nil || state != Current {
		t.Errorf("state %v, %v", state, err)
	}
	f.fails = "launchctl bootstrap"
	if _, err := s.Install(t.Context(), Launchd, c, plan(t, schedule.Words{Every: "daily", At: "02:30"})); err == nil {
		t.Error("launchd refuses, and nobody says so")
	}
	if state, err := s.State(t.Context(), Launchd, c, p); err != nil || state != Current {
		t.Errorf("after a failure the earlier agent is %v, %v", state, err)
	}
	if err := s.Remove(t.Context(), Launchd, c); err != nil {
		t.Error(err)
	}
	leftIn(t, s.Home, c.Name())
	if _, err := s.Install(t.Context(), Launchd, c, p); err == nil {
		t.Error("launchd refuses the first, and nobody says so")
	}
	leftIn(t, s.Home, c.Name())
}

func TestTaskScheduler(t *testing.T) {
	s, f, _ := fake(t, "windows")
	c, err := schedule.NewCommand(`C:\coffer.exe`, `D:\state`)
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, schedule.Words{Every: "monthly"})
	var file string
	s.Run = func(ctx context.Context, tool string, args ...string) (string, error) {
		if i := slices.Index(args, "/XML"); i >= 0 {
			data, err := os.ReadFile(args[i+1])
			if want, _ := c.WindowsTask(p); err != nil || string(data) != string(schedule.UTF16(want)) {
				t.Errorf("%s is not the task: %v", args[i+1], err)
			}
			file = args[i+1]
			args[i+1] = "FILE"
		}
		return f.run(ctx, tool, args...)
	}
	if _, err := s.Install(t.Context(), s.Runner(), c, p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", file, err)
	}
	if err := s.Remove(t.Context(), TaskScheduler, c); err != nil {
		t.Error(err)
	}
	name := `\Coffer\` + c.Name()
	want := []string{"schtasks /Create /TN " + name + " /XML FILE /F", "schtasks /Query /TN " + name, "schtasks /Delete /TN " + name + " /F"}
	if !slices.Equal(f.calls, want) {
		t.Errorf("calls %q, want %q", f.calls, want)
	}
	f.fails = "schtasks /Query"
	if state, err := s.State(t.Context(), TaskScheduler, c, p); err != nil || state != Absent {
		t.Errorf("state %v, %v", state, err)
	}
	if err := s.Remove(t.Context(), TaskScheduler, c); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
	f.fails = "schtasks /Create"
	if _, err := s.Install(t.Context(), TaskScheduler, c, p); err == nil {
		t.Error("the Task Scheduler refuses, and nobody says so")
	}
}

func TestNoScheduler(t *testing.T) {
	s, _, c := fake(t, "plan9")
	if _, err := s.Install(t.Context(), s.Runner(), c, schedule.Plan{}); !errors.Is(err, ErrNoScheduler) {
		t.Error(err)
	}
}
