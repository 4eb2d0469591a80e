// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/schedule"
)

type backupCmd struct {
	Exclude     []string `sep:"none" placeholder:"PATTERN" help:"Leave out also what matches, this time. Repeatable."`
	ReadAll     bool     `help:"Read every file, also those that look unchanged."`
	AcceptOlder bool     `help:"Go on although the destination is older than this device has seen."`

	WithoutVideos bool   `help:"Leave out videos, by the endings of their names, this time."`
	LimitUpload   string `placeholder:"2M" help:"At most so many bytes a second to a destination over the network."`

	Scheduled bool   `hidden:"" help:"Only if the schedule says that one is due, and its conditions are met."`
	State     string `hidden:"" placeholder:"DIR" help:"With --scheduled: the state directory."`
}

func (backupCmd) Help() string {
	return "Nothing is written when nothing has changed. A backup that was interrupted continues. A snapshot that leaves something out, such as videos, has none of it; what older snapshots have " +
		"of it stays until these are forgotten.\n\n" + examples(
		"coffer backup",
		"coffer backup --quiet      for cron: silent unless something is wrong",
	)
}

func (c *backupCmd) Run(a *app) (err error) {
	if (c.State != "") && !c.Scheduled || c.Scheduled && (c.LimitUpload != "" || c.WithoutVideos) {
		return usagef("--state goes with --scheduled, and a scheduled backup has its limits from the schedule")
	}
	a.state = c.State
	if c.LimitUpload != "" {
		if a.uploadLimit, err = schedule.ParseRate(c.LimitUpload); err != nil {
			return usageError{err}
		}
	}
	d, err := a.device()
	if err != nil {
		return err
	}
	if c.Scheduled {
		return c.scheduled(a, d)
	}
	return c.backup(a, d)
}

func (c *backupCmd) backup(a *app, d *coffer.Device) error {
	if config, err := d.Config(); err == nil && c.LimitUpload != "" && !slices.ContainsFunc(config.Destinations, isRemote) {
		a.remark("note: %s", noLimit)
	}
	exclude := c.Exclude
	if c.WithoutVideos {
		exclude = append(exclude, schedule.Videos()...)
	}
	progress, stop := a.watch("backup")
	var at []coffer.DestinationRun
	report, err := d.Backup(a.ctx, coffer.BackupOptions{
		Exclude: exclude, ReadAll: c.ReadAll, AcceptOlder: c.AcceptOlder, Progress: progress,
		OnDestination: func(one coffer.DestinationRun) { at = append(at, one) },
	})
	stop()
	if err != nil {
		return err
	}
	if err := a.showBackup(report, at); err != nil {
		return err
	}
	if err := a.partial(at); err != nil {
		return err
	}
	if coffer.Incomplete(report) {
		return outcome{codeIncomplete, "some files are not whole in this snapshot", incompleteAdvice}
	}
	return nil
}

const incompleteAdvice = "Torn or changed: close the app, or run again when it is quiet. Unreadable: allow reading, or leave them out with --exclude."

func (a *app) showBackup(r *archive.BackupReport, at []coffer.DestinationRun) error {
	if a.cli.JSON {
		return a.answer(struct {
			*archive.BackupReport
			Problems     []jsonProblem           `json:"problems"`
			Notices      []string                `json:"notices"`
			Incomplete   bool                    `json:"incomplete"`
			Destinations []coffer.DestinationRun `json:"destinations"`
		}{r, problemsJSON(r.Problems), list(r.Notices), coffer.Incomplete(r), list(at)})
	}
	a.notices(r.Notices)
	if !a.cli.Quiet || coffer.Incomplete(r) {
		a.problems(r.Problems)
	}
	if a.cli.Quiet {
		return nil
	}
	if r.Unchanged {
		fmt.Fprintf(a.out, "Nothing has changed since snapshot %s: %s, %s. Nothing was written.\n",
			shortID(r.Snapshot), count(r.Files, "entry"), byteSize(r.SourceBytes))
		a.showBrought(at)
		return nil
	}
	fmt.Fprintf(a.out, "Snapshot %s: %s, %s.\n", shortID(r.Snapshot), count(r.Files, "entry"), byteSize(r.SourceBytes))
	fmt.Fprintf(a.out, "Read %s, added %s in %s, %s.\n", byteSize(r.ReadBytes), byteSize(r.AddedBytes),
		count(r.AddedObjects, "object"), seconds(r.Finished.Sub(r.Started)))
	a.showBrought(at)
	return nil
}

// showBrought says what was copied to destinations that the snapshot was not written to.
func (a *app) showBrought(at []coffer.DestinationRun) {
	for _, d := range at {
		if d.Outcome == coffer.OutcomeOK && d.Objects > 0 {
			fmt.Fprintf(a.out, "Brought %s, %s, to %s.\n", count(int64(d.Snapshots), "snapshot"), byteSize(d.Bytes), printable(d.Destination))
		}
	}
}

// partial tells of destinations that failed where others did not, each with its own advice.
func (a *app) partial(at []coffer.DestinationRun) error {
	failed := 0
	for _, d := range at {
		if d.Outcome == coffer.OutcomeOK {
			continue
		}
		failed++
		fmt.Fprintf(a.err, "coffer: %s: %s\n", printable(d.Destination), escaped(d.Error))
		if todo := a.adviceAt(d.Destination, d.Cause); todo != "" {
			fmt.Fprintf(a.err, "  %s\n", todo)
		}
	}
	if failed == 0 {
		return nil
	}
	return outcome{codePartial, fmt.Sprintf("%d of %s have the newest state; the next backup catches up the others", len(at)-failed, count(int64(len(at)), "destination")), ""}
}

// adviceAt is the next step after a failure at one of several destinations.
func (a *app) adviceAt(text string, cause coffer.Cause) string {
	switch cause {
	case coffer.CauseNoArchive:
		return "It had the archive. Is the right disk mounted? If it was emptied: coffer destination remove " + shellQuote(text) + ", then coffer destination add --use " + shellQuote(text)
	case coffer.CauseRolledBack:
		return "Somebody or something has put back an older state there. If you did that: coffer backup --accept-older brings it up to the others"
	case coffer.CauseDamaged:
		return "See what is wrong there: coffer verify --from " + shellQuote(text) + "\n  Mend it from another: coffer repair --from OTHER_DEST --to " + shellQuote(text)
	}
	a.place = text
	defer func() { a.place = "" }()
	return a.advice(cause, nil)
}

// maxShown bounds the lists that a terminal has to bear; JSON has everything.
const maxShown = 50

var problemWords = map[archive.ProblemKind]string{
	archive.ProblemUnreadable:  "not backed up, unreadable",
	archive.ProblemVanished:    "not backed up, it vanished meanwhile",
	archive.ProblemChanged:     "possibly torn, it changed while it was read",
	archive.ProblemTorn:        "possibly torn, the database never held still",
	archive.ProblemNotDatabase: "stored as an ordinary file, SQLite cannot open it",
	archive.ProblemSkipped:     "left out",
	archive.ProblemRenamed:     "restored under another name",
	archive.ProblemDamaged:     "damaged in the archive",
}

func (a *app) problems(problems []archive.Problem) {
	for i, p := range problems {
		if i == maxShown {
			fmt.Fprintf(a.err, "... and %d more; --json has all of them\n", len(problems)-i)
			return
		}
		word, ok := problemWords[p.Kind]
		if !ok {
			word = string(p.Kind)
		}
		line := printable(p.Path) + ": " + word
		if p.Detail != "" {
			line += " (" + escaped(p.Detail) + ")"
		}
		fmt.Fprintln(a.err, line)
	}
}
