// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/schedule"
)

const insideManager = "COFFER_TEST_INSIDE_MANAGER"

const noManager = 77 // as in usermanager.sh

// A real user manager of systemd takes the units, starts them and forgets them. This test runs itself again beside the manager.
func TestRealSystemd(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a test a manager of its own")
	}
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	dir, err := os.MkdirTemp("", "manager") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private",
		"sh", "testdata/usermanager.sh", dir, os.Args[0], "-test.run=^TestInsideManager$", "-test.v")
	cmd.Env = append(os.Environ(), insideManager+"=1")
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == noManager {
		t.Skipf("no manager of its own can be started here:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideManager") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInsideManager(t *testing.T) {
	if os.Getenv(insideManager) == "" {
		t.Skip("TestRealSystemd runs it")
	}
	s, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, schedule.Words{Every: "daily", At: "02:42"})
	for i, name := range []string{`100% %h %n %% $HOME ${HOME} $$ $(id) größe 日本 -x ;|&*?[x]{y}~ <a> &amp;`, `quoted "x" it's back\slash\n\`} {
		folder, heard := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "heard")
		programs := folder
		if strings.ContainsAny(name, `"'\`) {
			programs = t.TempDir() // systemd takes no such program
		}
		program := filepath.Join(programs, "coffer")
		script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$0\" \"$@\" >%s\n", heard)
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(program, []byte(script), 0o700)); err != nil {
			t.Fatal(err)
		}
		c, err := schedule.NewCommand(program, folder)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, s, c, p)
		text, err := os.ReadFile(heard)
		want := []string{program, "backup", "--scheduled", "--quiet", "--state", folder}
		if got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d: systemd started %q, %v, want %q", i, got, err, want)
		}
	}
}

// roundTrip installs, runs once, and removes.
func roundTrip(t *testing.T, s System, c schedule.Command, p schedule.Plan) {
	t.Helper()
	expect := func(plan schedule.Plan, want State) {
		t.Helper()
		if got, err := s.State(t.Context(), Systemd, c, plan); err != nil || got != want {
			t.Errorf("state %v, %v, want %v", got, err, want)
		}
	}
	expect(p, Absent)
	if _, err := s.Install(t.Context(), Systemd, c, p); err != nil {
		t.Fatal(err)
	}
	expect(p, Current)
	later := p
	later.Minute = 17
	expect(later, Differs)
	if _, err := s.Install(t.Context(), Systemd, c, later); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Run(t.Context(), "systemctl", "--user", "show", "--property=TimersCalendar,ActiveState,NextElapseUSecRealtime,UnitFileState", timer(c)); err != nil ||
		!strings.Contains(out, "*-*-* *:17:00") || !strings.Contains(out, "ActiveState=active") || !strings.Contains(out, "UnitFileState=enabled") {
		t.Errorf("the timer is not as it should be: %v\n%s", err, out)
	}
	if _, err := s.Run(t.Context(), "systemctl", "--user", "start", service(c)); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time there is nothing left to remove
		if err := s.Remove(t.Context(), Systemd, c); err != nil {
			t.Error(err)
		}
	}
	expect(later, Absent)
	if out, err := s.Run(t.Context(), "systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", c.Name()+"*"); err != nil || out != "" {
		t.Errorf("left in systemd: %v\n%s", err, out)
	}
	leftIn(t, s.Config, c.Name())
	leftIn(t, os.Getenv("XDG_DATA_HOME"), c.Name())
}
