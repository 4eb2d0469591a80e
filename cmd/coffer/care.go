// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/alecthomas/kong"
	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
)

type pruneCmd struct {
	KeepLast    keep `placeholder:"N" help:"Keep the newest N snapshots."`
	KeepDaily   keep `placeholder:"N" help:"Keep one of each of the last N days that have one."`
	KeepWeekly  keep `placeholder:"N" help:"The same by weeks."`
	KeepMonthly keep `placeholder:"N" help:"The same by months."`
	KeepYearly  keep `placeholder:"N" help:"The same by years."`
	olderFlag
	DryRun bool `short:"n" help:"Only say what would be done."`
}

// keep is how many snapshots a rule keeps.
type keep int

// Decode takes the next word whatever it looks like: the parser would call -1 a flag.
func (k *keep) Decode(ctx *kong.DecodeContext) error {
	text := ctx.Scan.Pop().String()
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a number of snapshots to keep: 0 or more", text)
	}
	*k = keep(n)
	return nil
}

func (pruneCmd) Help() string {
	return "A snapshot stays if any rule keeps it. What is not needed any more is marked, and deleted by a later run, a day after at the earliest, " +
		"so that a backup that runs at the same time is safe.\n\n" +
		examples("coffer prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run")
}

func (c *pruneCmd) Run(a *app) error {
	if max(c.KeepLast, c.KeepDaily, c.KeepWeekly, c.KeepMonthly, c.KeepYearly) == 0 {
		return usagef("say what to keep, such as --keep-daily 7 --keep-weekly 4 --keep-monthly 12")
	}
	return a.own("prune", fromFlags{olderFlag: c.olderFlag}, func(arch *archive.Archive, others *coffer.Others) error {
		progress, stop := a.watch("prune")
		r, err := arch.Prune(a.ctx, archive.PruneConfig{
			KeepLast: int(c.KeepLast), KeepDaily: int(c.KeepDaily), KeepWeekly: int(c.KeepWeekly), KeepMonthly: int(c.KeepMonthly), KeepYearly: int(c.KeepYearly),
			DryRun: c.DryRun, Others: others.Archives(), Progress: progress,
		})
		stop()
		if err != nil {
			return err
		}
		return a.showPrune(r, c.DryRun)
	})
}

type forgetCmd struct {
	olderFlag
	Snapshots []string `arg:"" name:"snapshot" help:"Beginnings of ids, or latest."`
}

func (forgetCmd) Help() string {
	return "The space is freed by this and a later run of forget or prune.\n\n" + examples("coffer forget 3f9a")
}

func (c *forgetCmd) Run(a *app) error {
	return a.own("forget", fromFlags{olderFlag: c.olderFlag}, func(arch *archive.Archive, _ *coffer.Others) error {
		var ids []archive.ID
		for _, name := range c.Snapshots {
			s, err := arch.Snapshot(a.ctx, name)
			if err != nil {
				return err
			}
			ids = append(ids, s.Info().ID)
		}
		progress, stop := a.watch("forget")
		r, err := arch.Forget(a.ctx, ids, progress)
		stop()
		if errors.Is(err, archive.ErrNothingKept) {
			return outcome{codeUsage, "these are all the snapshots that there are; one must stay", "To get rid of everything: coffer archive delete"}
		}
		if err != nil {
			return err
		}
		return a.showPrune(r, false)
	})
}

func (a *app) showPrune(r *archive.PruneReport, dryRun bool) error {
	if a.cli.JSON {
		return a.answer(struct {
			*archive.PruneReport
			Removed []archive.SnapshotInfo `json:"removed"`
			Kept    []archive.SnapshotInfo `json:"kept"`
			DryRun  bool                   `json:"dry_run"`
		}{r, list(r.Removed), list(r.Kept), dryRun})
	}
	if a.cli.Quiet {
		return nil
	}
	forgot, marked, deleted := "Forgot", "Marked", "Deleted"
	if dryRun {
		forgot, marked, deleted = "Would forget", "Would mark", "Would delete"
	}
	for _, s := range r.Removed {
		fmt.Fprintf(a.out, "%s %s of %s\n", forgot, shortID(s.ID), clock(s.Time))
	}
	fmt.Fprintf(a.out, "%s %s, kept %d.\n", forgot, count(int64(len(r.Removed)), "snapshot"), len(r.Kept))
	if r.MarkedObjects > 0 {
		fmt.Fprintf(a.out, "%s %s (%s); a run a day later deletes them.\n", marked, count(r.MarkedObjects, "object"), byteSize(r.MarkedBytes))
	}
	if r.RepackedBytes > 0 {
		fmt.Fprintf(a.out, "Moved %s out of mostly empty packs.\n", byteSize(r.RepackedBytes))
	}
	if r.DeletedObjects > 0 {
		fmt.Fprintf(a.out, "%s %s (%s).\n", deleted, count(r.DeletedObjects, "object"), byteSize(r.DeletedBytes))
	}
	return nil
}

type unlockCmd struct{ fromFlags }

func (unlockCmd) Help() string {
	return "A lock is a courtesy: removing one that is in use endangers nothing but makes two runs do the same work. " +
		"Dead locks of this device, and old ones, are taken over without this command."
}

func (c *unlockCmd) Run(a *app) error {
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	locks, err := arch.Locks(a.ctx)
	if err != nil {
		return err
	}
	removed, err := arch.Unlock(a.ctx)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"removed": removed, "locks": list(locks)})
	}
	for _, l := range locks {
		if l.Time.IsZero() {
			a.remark("lock: one that cannot be read")
			continue
		}
		a.remark("lock: %s on %s, process %d, since %s", escaped(l.Operation), escaped(l.Host), l.PID, clock(l.Time))
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Removed %s.\n", count(int64(removed), "lock"))
	}
	return nil
}
