// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/schedule"
	"github.com/coffer-backup/coffer/internal/schedule/install"
)

type scheduleCmd struct {
	Every string `arg:"" optional:"" default:"show" enum:"show,daily,weekly,monthly,off" help:"daily, weekly, monthly, or off. Without it: what is set, the next run and the last ones."`

	At            string `placeholder:"02:00" help:"Time of the day."`
	On            string `placeholder:"DAY" help:"weekly: a day such as sunday, which it is otherwise. monthly: 1 to 28, 1 otherwise."`
	OnlyOnWifi    bool   `help:"Only on Wi-Fi or a cable, never on mobile data or a metered connection (Linux)."`
	OnlyOnPower   bool   `help:"Only while the device is plugged in (Linux, Windows)."`
	WithoutVideos bool   `help:"Leave out videos, by the endings of their names."`
	LimitUpload   string `placeholder:"2M" help:"At most so many bytes a second to a destination over the network."`
	Cron          bool   `help:"Install nothing; print the line for your own crontab."`
}

func (scheduleCmd) Help() string {
	return "A run that cannot be made at its time, because the device is off, asleep, on battery or offline or the destination is away, is tried again every hour until it is made. " +
		"coffer status warns when one is a day late.\n\n" +
		"Setting a schedule replaces the one before as a whole. A snapshot without videos has none: those that older snapshots have stay until these are forgotten.\n\n" + examples(
		"coffer schedule daily --only-on-wifi --only-on-power",
		"coffer schedule weekly --on sunday --at 21:30 --limit-upload 2M",
		"coffer schedule",
		"coffer schedule off",
	) + "\n\nHow it works, and what was not tried: coffer help schedule"
}

func (c *scheduleCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	switch {
	case (c.Every == "show" || c.Every == "off") && *c != scheduleCmd{Every: c.Every}:
		return usagef("the flags go with daily, weekly or monthly")
	case c.Every == "show":
		return a.showSchedule(d)
	case c.Every == "off":
		return a.scheduleOff(d)
	}
	return c.set(a, d)
}

func (c *scheduleCmd) set(a *app, d *coffer.Device) error {
	config, err := d.Config()
	if err != nil {
		return err
	}
	plan, err := schedule.Parse(schedule.Words{
		Every: c.Every, At: c.At, On: c.On,
		OnlyOnWifi: c.OnlyOnWifi, OnlyOnPower: c.OnlyOnPower, WithoutVideos: c.WithoutVideos, LimitUpload: c.LimitUpload,
	})
	if err == nil {
		err = canTell(runtime.GOOS, plan)
	}
	if err != nil {
		return usageError{err}
	}
	t, err := newTask(d.Dir())
	if err != nil {
		return err
	}
	runner := t.system.Runner()
	if c.Cron {
		runner = install.Cron
	}
	stored := schedule.Stored{Plan: plan, Since: time.Now(), Runner: runner, KeyFiles: filesOnly()}
	notes, err := a.putSchedule(t, stored)
	if err != nil {
		return err
	}
	if plan.UploadBytesPerSecond > 0 && !slices.ContainsFunc(config.Destinations, isRemote) {
		notes = append(notes, noLimit)
	}
	if cause, why := a.mayRun(plan); cause != "" {
		notes = append(notes, "right now it would wait: "+why)
	}
	return a.sayScheduled(t, stored, notes)
}

const noLimit = "--limit-upload does nothing for a destination that is a folder"

// canTell refuses conditions that nobody can check on a system: such a schedule would never run, or run when it must not.
func canTell(system string, p schedule.Plan) error {
	switch {
	case p.OnlyOnWifi && system != "linux":
		return fmt.Errorf("--only-on-wifi is for Linux; here Coffer cannot tell Wi-Fi from mobile data")
	case p.OnlyOnPower && system != "linux" && system != "windows":
		return fmt.Errorf("--only-on-power is for Linux and Windows; here Coffer cannot tell whether the device is plugged in")
	}
	return nil
}

// task is what the system's scheduler has, or is to have, of this device.
type task struct {
	system  install.System
	command schedule.Command
	dir     string // the state directory
}

func newTask(stateDir string) (task, error) {
	system, err := install.Here()
	if err != nil {
		return task{}, err
	}
	program, err := install.Program()
	if err != nil {
		return task{}, err
	}
	if stateDir, err = filepath.Abs(stateDir); err != nil {
		return task{}, err
	}
	command, err := schedule.NewCommand(program, stateDir)
	return task{system, command, stateDir}, err
}

// putSchedule stores a schedule and gives it to its runner. If that fails, the one before is what is set.
func (a *app) putSchedule(t task, s schedule.Stored) (notes []string, err error) {
	before, err := schedule.Load(t.dir)
	had := err == nil
	if err := s.Save(t.dir); err != nil {
		return nil, err
	}
	notes, err = t.system.Install(a.ctx, s.Runner, t.command, s.Plan)
	if err != nil {
		back := func() error { return schedule.Remove(t.dir) }
		if had {
			back = func() error { return before.Save(t.dir) }
		}
		err = errors.Join(err, back())
		if errors.Is(err, install.ErrNoScheduler) {
			err = outcome{codeFailed, err.Error(), "To start it from your own crontab: add --cron, which prints the line. Nothing was changed."}
		}
		return nil, err
	}
	if had && before.Runner != s.Runner {
		if before.Runner == install.Cron {
			notes = append(notes, "take the line of the schedule before out of your crontab (crontab -e): "+t.command.CrontabLine(before.Plan))
		} else if err := t.system.Remove(a.ctx, before.Runner, t.command); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

func (a *app) sayScheduled(t task, s schedule.Stored, notes []string) error {
	standing := s.Standing(time.Now(), schedule.LastGood{})
	if a.cli.JSON {
		result := map[string]any{"schedule": scheduleJSONOf(s, standing), "notices": list(notes)}
		if s.Runner == install.Cron {
			result["crontab"] = t.command.CrontabLine(s.Plan)
		}
		return a.answer(result)
	}
	if s.Runner == install.Cron {
		a.remark("Add this line to your crontab (crontab -e):")
		fmt.Fprintln(a.out, t.command.CrontabLine(s.Plan))
	}
	if !a.cli.Quiet {
		a.out.Flush()
		a.remark("Set: %s. First run: %s.", s.Plan, clock(standing.Next))
	}
	a.notices(notes)
	return nil
}

// scheduleOff removes what there is of a schedule, also where only half of it is left.
func (a *app) scheduleOff(d *coffer.Device) error {
	was, err := a.removeSchedule(d.Dir())
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"schedule": nil, "removed": was})
	}
	if was {
		a.remark("Done. Nothing is backed up by itself any more.")
	} else {
		a.remark("No schedule was set.")
	}
	return nil
}

// removeSchedule reports whether one was stored. The runner goes first: what it starts without a plan would only complain.
func (a *app) removeSchedule(stateDir string) (was bool, err error) {
	stored, err := schedule.Load(stateDir)
	was = err == nil
	t, taskErr := newTask(stateDir)
	if errors.Is(err, schedule.ErrNone) && taskErr != nil {
		return false, nil // one that cannot be named was never there
	} else if taskErr != nil {
		return was, taskErr
	}
	runner := stored.Runner
	if runner == "" {
		runner = t.system.Runner()
	}
	if runner == install.Cron {
		a.warn("take its line out of your crontab (crontab -e): %s", t.command.CrontabLine(stored.Plan))
	}
	if runner != "" {
		if err := t.system.Remove(a.ctx, runner, t.command); err != nil {
			return was, err
		}
	}
	return was, schedule.Remove(t.dir)
}
