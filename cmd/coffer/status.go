// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
)

type statusCmd struct {
	MaxAge time.Duration `placeholder:"26h" help:"Fail with exit code 13 if the last good backup is older."`
}

func (statusCmd) Help() string {
	return "A run that found nothing to do counts as a good backup. For monitoring: the exit code is 13 if the last good backup is too old, or a scheduled one is a day late, else that of the first " +
		"problem with the destination (4 unreachable, 5 damaged, 9 no archive, 11 older than seen) or the vault (20 not logged in, 21 no answer, 23 another vault), else 0.\n\n" +
		"Where nothing is set up but a login, it says what the vault keeps. Asking uses no guess.\n\n" + examples("coffer status --max-age 26h --quiet || notify-me")
}

type statusResult struct {
	Device      coffer.ID             `json:"device"`
	Archive     coffer.ID             `json:"archive"`
	Source      string                `json:"source"`
	Destination string                `json:"destination"` // the first
	StateDir    string                `json:"state_dir"`
	Generation  uint64                `json:"generation"` // 0: unknown or none yet
	Snapshots   int                   `json:"snapshots"`
	Newest      *archive.SnapshotInfo `json:"newest"`
	LastGood    *time.Time            `json:"last_good"`
	AgeSeconds  *int64                `json:"age_seconds"` // since last_good
	LastRun     *coffer.Run           `json:"last_run"`
	schedulePart
	At      []destinationStatus `json:"destinations"`
	Notices []string            `json:"notices"`
	Problem *jsonError          `json:"problem"`
	Beside  *jsonError          `json:"destination_problem,omitempty"` // where problem is the age
	vaultPart

	lastTodo string
}

func (c *statusCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	config, err := d.Config()
	if errors.Is(err, coffer.ErrNotEnabled) && c.MaxAge == 0 && isLoggedIn(d) {
		return a.vaultStatus(d)
	}
	if err != nil {
		return err
	}
	history, err := d.History()
	if err != nil {
		return err
	}
	s := &statusResult{
		Device: config.Device, Archive: config.Archive, Source: config.Source, Destination: config.Destinations[0],
		StateDir: d.Dir(), Notices: []string{},
	}
	if n := len(history.Runs); n > 0 {
		s.LastRun = &history.Runs[n-1]
		s.lastTodo = a.todoAfter(s.LastRun)
	}
	if err := s.schedulePart.look(a, d, history); err != nil {
		return err
	}
	problem := s.look(a, d)
	if err := s.warnOfLogins(a); err != nil {
		return err
	}
	vaultProblem := s.askVault(a, d)
	s.setAge(history.LastGood)
	if tooOld := s.age(c.MaxAge); tooOld != nil {
		if problem != nil {
			s.Beside = a.tellBeside(problem)
			s.lastTodo = "When that is mended, run: coffer backup"
			tooOld = s.age(c.MaxAge)
		}
		problem = tooOld
	}
	if problem == nil {
		problem = vaultProblem
	} else if vaultProblem != nil {
		a.tellBeside(vaultProblem)
	}
	return a.showStatus(s, problem)
}

// look asks the destination. What goes wrong is part of the status.
func (s *statusResult) look(a *app, d *coffer.Device) error {
	survey, err := d.Survey(a.ctx, false)
	if err != nil {
		return err
	}
	var failed error
	for _, at := range survey.Destinations {
		s.At = append(s.At, a.statusOf(at))
		if failed == nil && at.Err != nil {
			failed = at.Err
			a.place = at.Destination
		}
	}
	arch := survey.Archive
	if arch == nil {
		return survey.Err
	}
	defer arch.Close()
	s.Generation, s.Notices = arch.Head().Generation, list(arch.Notices())
	snapshots := arch.Snapshots()
	s.Snapshots = len(snapshots)
	if n := len(snapshots); n > 0 {
		s.Newest = &snapshots[n-1]
	}
	if failed != nil && len(s.At) > 1 {
		failed = outcomeAt(a, failed)
	}
	return failed
}

// destinationStatus is what people should know of one destination.
type destinationStatus struct {
	coffer.DestinationState
	Problem *jsonError `json:"problem"`
	Todo    string     `json:"todo,omitempty"`
}

func (a *app) statusOf(at coffer.DestinationState) destinationStatus {
	s := destinationStatus{DestinationState: at}
	switch {
	case at.Err != nil:
		s.Problem = a.problemJSON(at.Err)
		s.Problem.Todo = a.adviceAt(at.Destination, s.Problem.Cause)
		s.Todo = s.Problem.Todo
	case at.State == coffer.StateBehind:
		s.Todo = "The next backup catches it up: coffer backup"
	}
	return s
}

// outcomeAt is the problem of one of several destinations, where another one can be used.
func outcomeAt(a *app, err error) error {
	code, cause, _ := a.judge(err)
	todo := a.adviceAt(a.place, cause)
	return outcome{code, err.Error(), todo}
}

// line says how a destination stands.
func (s *destinationStatus) line() string {
	var line string
	switch {
	case s.Err != nil:
		line = "cannot be used: " + escaped(s.Err.Error())
	case s.State == coffer.StateNewest:
		line = "has the newest state"
	case s.Lacks && s.Behind == 0:
		line = "lacks objects that no other destination gave out"
	case s.Behind > 0:
		line = fmt.Sprintf("behind by %s", count(int64(s.Behind), "snapshot"))
	default:
		line = "behind; the newest state is at a destination that cannot be used now"
	}
	if !s.LastGood.IsZero() {
		line += fmt.Sprintf("; last good %s ago", ago(time.Since(s.LastGood)))
	}
	if f := s.LastFailure; f != nil && s.Err == nil {
		line += fmt.Sprintf("; failed %s ago: %s", ago(time.Since(f.At)), escaped(f.Error))
	}
	return line
}

// warnOfLogins tells of those at destinations that end soon.
func (s *statusResult) warnOfLogins(a *app) error {
	known, err := a.knownDestinations()
	for _, k := range known {
		if w := loginWarning(k.Known, time.Now()); k.Used && w != "" {
			s.Notices = append(s.Notices, w)
		}
	}
	return err
}

// setAge counts from the last good run of this device, or where it has had none, as after --adopt, from the newest snapshot.
func (s *statusResult) setAge(lastGood time.Time) {
	if lastGood.IsZero() && s.Newest != nil {
		lastGood = s.Newest.Time
	}
	if lastGood.IsZero() {
		return
	}
	age := int64(time.Since(lastGood).Seconds())
	s.LastGood, s.AgeSeconds = &lastGood, &age
}

// tellBeside tells of a problem where another one counts for the exit code. Each has its own advice.
func (a *app) tellBeside(problem error) *jsonError {
	told := a.problemJSON(problem)
	fmt.Fprintf(a.err, "coffer: %s\n  %s\n", told.Message, told.Todo)
	return told
}

func (a *app) problemJSON(problem error) *jsonError {
	code, cause, todo := a.judge(problem)
	return &jsonError{code, cause, escaped(problem.Error()), todo}
}

// age is what is wrong with the age of the last good backup: by what was asked for now, else by the schedule.
func (s *statusResult) age(maxAge time.Duration) error {
	if maxAge > 0 && (s.LastGood == nil || time.Since(*s.LastGood) > maxAge) {
		return s.tooOld(maxAge)
	}
	return s.missed(s.lastTodo)
}

func (s *statusResult) tooOld(maxAge time.Duration) error {
	what := "there has been no backup yet"
	if s.LastGood != nil {
		what = fmt.Sprintf("the last good backup was %s ago, which is more than %v", ago(time.Since(*s.LastGood)), maxAge)
	}
	todo := s.lastTodo
	if todo == "" {
		todo = "Run: coffer backup"
	}
	return outcome{codeTooOld, what, todo}
}

func (a *app) showStatus(s *statusResult, problem error) error {
	if s.trouble != "" && (a.cli.JSON || a.cli.Quiet) {
		a.warn("%s", s.trouble)
	}
	if a.cli.JSON {
		if problem != nil {
			s.Problem = a.problemJSON(problem)
		}
		if err := a.answer(s); err != nil {
			return err
		}
		return problem
	}
	if a.cli.Quiet {
		return problem
	}
	row := a.row
	row("Chat store", "%s", printable(s.Source))
	s.showDestinations(a)
	row("Archive", "%s", s.Archive)
	row("Device", "%s, state in %s", s.Device, printable(s.StateDir))
	if s.LastGood == nil {
		row("Last backup", "none yet; run coffer backup")
	} else {
		row("Last backup", "%s, %s ago", clock(*s.LastGood), ago(time.Since(*s.LastGood)))
	}
	if s.Newest != nil {
		row("Newest", "snapshot %s of %s: %s, %s; %s, generation %d", shortID(s.Newest.ID), clock(s.Newest.Time),
			count(s.Newest.Files, "entry"), byteSize(s.Newest.Bytes), count(int64(s.Snapshots), "snapshot"), s.Generation)
	}
	if r := s.LastRun; r != nil {
		row("Last run", "%s: %s", clock(r.Finished), runLine(r))
		a.problems(r.Problems)
		if s.lastTodo != "" && problem == nil {
			row("", "%s", s.lastTodo)
		}
	}
	s.schedulePart.show(a)
	if s.Schedule != nil && len(s.Runs) > 1 {
		s.showRuns(a, "Runs before", s.Runs[1:min(len(s.Runs), shownRuns)])
	}
	s.vaultPart.show(a)
	a.notices(s.Notices)
	return problem
}

// showDestinations shows one as its name alone: how it stands is what the rest of the status says.
func (s *statusResult) showDestinations(a *app) {
	if len(s.At) < 2 {
		a.row("Destination", "%s", printable(s.Destination))
		return
	}
	for i := range s.At {
		at := &s.At[i]
		a.row("Destination", "%s", printable(at.Destination))
		a.row("", "%s", at.line())
		if at.Todo != "" {
			a.row("", "%s", strings.ReplaceAll(at.Todo, "\n", " "))
		}
	}
}

func (a *app) row(name, format string, args ...any) {
	fmt.Fprintf(a.out, "%-12s %s\n", name, fmt.Sprintf(format, args...))
}

func runLine(r *coffer.Run) string {
	switch r.Outcome {
	case coffer.OutcomeFailed:
		return "failed: " + escaped(r.Error)
	case coffer.OutcomeSkipped:
		since := ""
		if r.Finished.Sub(r.Started) > time.Minute {
			since = " since " + clock(r.Started)
		}
		return "not made" + since + ": " + escaped(r.Error)
	case coffer.OutcomeUnchanged:
		return "nothing had changed"
	case coffer.OutcomePartial:
		return byteSize(r.AddedBytes) + " added, but not at every destination"
	case coffer.OutcomeProblems:
		return fmt.Sprintf("%s not whole or left out, %s added", count(int64(r.ProblemCount), "file"), byteSize(r.AddedBytes))
	}
	return byteSize(r.AddedBytes) + " added"
}
