// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/schedule"
	"github.com/coffer-backup/coffer/internal/schedule/install"
)

const (
	shownRuns = 5  // to people
	jsonRuns  = 20 // in JSON
)

// scheduleJSON is a schedule in JSON.
type scheduleJSON struct {
	schedule.Words
	Since  time.Time `json:"since"`
	Runner string    `json:"runner"`
	Next   time.Time `json:"next"` // in the past if a run is due
	Due    bool      `json:"due"`
	Late   bool      `json:"late"`
}

func scheduleJSONOf(s schedule.Stored, standing schedule.Standing) *scheduleJSON {
	return &scheduleJSON{s.Plan.Words(), s.Since, s.Runner, standing.Next, standing.Due, standing.Late}
}

// schedulePart is what a status says of a schedule. The zero value is of a device without one.
type schedulePart struct {
	Schedule *scheduleJSON `json:"schedule"`
	Runs     []coffer.Run  `json:"runs"` // the last ones, newest first

	text    string // of the plan
	trouble string // what is wrong with the runner, for people
}

// look reads the schedule and asks its runner whether it still has it.
func (s *schedulePart) look(a *app, d *coffer.Device, history coffer.History) error {
	s.Runs = newest(history.Runs, jsonRuns)
	stored, err := schedule.Load(d.Dir())
	if errors.Is(err, schedule.ErrNone) {
		return nil
	} else if err != nil {
		return err
	}
	standing := stored.Standing(time.Now(), lastGood(history))
	s.Schedule, s.text = scheduleJSONOf(stored, standing), stored.Plan.String()
	var state install.State
	t, err := newTask(d.Dir())
	if err == nil {
		state, err = t.system.State(a.ctx, stored.Runner, t.command, stored.Plan)
	}
	again := "set it again: " + scheduleCommand(stored)
	switch {
	case err != nil:
		s.trouble = fmt.Sprintf("it is not known whether the schedule runs: %v", err)
	case state == install.Absent:
		s.trouble = fmt.Sprintf("%s does not have the schedule (any more), so nothing starts it; %s", stored.Runner, again)
	case state == install.Differs:
		s.trouble = fmt.Sprintf("what %s has of the schedule was made by another version of this program, or where it lay before; %s", stored.Runner, again)
	}
	return nil
}

// newest returns the last runs, the newest first.
func newest(runs []coffer.Run, n int) []coffer.Run {
	last := []coffer.Run{}
	for i := len(runs) - 1; i >= 0 && len(last) < n; i-- {
		last = append(last, runs[i])
	}
	return last
}

// scheduleCommand sets a schedule again.
func scheduleCommand(s schedule.Stored) string {
	w := s.Plan.Words()
	command := "coffer schedule " + w.Every + " --at " + w.At
	for _, flag := range []struct {
		set  bool
		text string
	}{
		{w.On != "", " --on " + w.On},
		{w.OnlyOnWifi, " --only-on-wifi"},
		{w.OnlyOnPower, " --only-on-power"},
		{w.WithoutVideos, " --without-videos"},
		{w.LimitUpload != "", " --limit-upload " + w.LimitUpload},
		{s.Runner == install.Cron, " --cron"},
	} {
		if flag.set {
			command += flag.text
		}
	}
	return command
}

// show prints the rows of a schedule. The last run has a row of its own in a status.
func (s *schedulePart) show(a *app) {
	if s.Schedule == nil {
		return
	}
	a.row("Schedule", "%s", s.text)
	if s.Schedule.Due {
		a.row("Next run", "due since %s, tried every hour", clock(s.Schedule.Next))
	} else {
		a.row("Next run", "%s", clock(s.Schedule.Next))
	}
	if s.trouble != "" {
		a.warn("%s", s.trouble)
	}
}

func (s *schedulePart) showRuns(a *app, name string, runs []coffer.Run) {
	for _, r := range runs {
		a.row(name, "%s: %s", clock(r.Finished), runLine(&r))
		name = ""
	}
}

// missed is the failure of a status whose schedule asks for a backup that has not been made for a day.
func (s *schedulePart) missed(todo string) error {
	if s.Schedule == nil || !s.Schedule.Late {
		return nil
	}
	if todo == "" {
		todo = "Run: coffer backup"
	}
	return outcome{codeTooOld, fmt.Sprintf("the backup that was due at %s has not been made", clock(s.Schedule.Next)), todo}
}

// showSchedule is coffer schedule alone.
func (a *app) showSchedule(d *coffer.Device) error {
	history, err := d.History()
	if err != nil {
		return err
	}
	var s schedulePart
	if err := s.look(a, d, history); err != nil {
		return err
	}
	if s.trouble != "" && (a.cli.JSON || a.cli.Quiet) {
		a.warn("%s", s.trouble)
	}
	switch {
	case a.cli.JSON:
		return a.answer(&s)
	case a.cli.Quiet:
	case s.Schedule == nil:
		fmt.Fprintln(a.out, "No schedule is set: backups are made when you run coffer backup. To set one: coffer schedule daily")
	default:
		s.show(a)
		s.showRuns(a, "Last runs", s.Runs[:min(len(s.Runs), shownRuns)])
		if len(s.Runs) == 0 {
			a.row("Last runs", "none yet")
		} else if todo := a.todoAfter(&s.Runs[0]); todo != "" {
			a.row("", "%s", todo)
		}
	}
	return nil
}

// todoAfter is what to do after a run, if anything.
func (a *app) todoAfter(r *coffer.Run) string {
	switch r.Outcome {
	case coffer.OutcomeProblems:
		return incompleteAdvice
	case coffer.OutcomeSkipped:
		return "It is tried again every hour. To back up now: coffer backup"
	}
	return a.advice(r.Cause, nil)
}
