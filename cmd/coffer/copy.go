// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

type copyCmd struct {
	From      string `arg:"" name:"from" help:"Destination that has the archive."`
	To        string `arg:"" name:"to" help:"Destination to bring it to; a folder is made if it is not there."`
	Archive   string `placeholder:"ID" help:"Which archive, if there are several."`
	KeepGoing bool   `help:"Bring the newest state over although objects are damaged, which then are missing in the copy."`
}

func (copyCmd) Help() string {
	return "Needs no key: objects are copied as they are, and checked by their names. Nothing is deleted at either place. A copy that was interrupted goes on where it " +
		"stopped, and a later one brings over what is new.\n\n" +
		examples("coffer copy /media/old /media/new", "coffer copy /media/disk s3://bucket/chats")
}

func (c *copyCmd) Run(a *app) error {
	id, err := parseArchiveID(c.Archive)
	if err != nil {
		return err
	}
	a.place = c.From
	from, err := a.openDestination(c.From)
	if err != nil {
		return err
	}
	found, err := archive.Find(a.ctx, from)
	if err != nil {
		return err
	}
	a.from, a.place = c.From, ""
	which, err := pick(found, id)
	if err != nil {
		return err
	}
	a.place = c.To
	to, err := a.makeDestination(c.To)
	if err != nil {
		return err
	}
	a.place = ""
	if from.String() == to.String() {
		return usagef("both destinations are %s", from)
	}
	progress, stop := a.watch("copy")
	r, err := archive.Copy(a.ctx, from, to, which.ID, archive.CopyOptions{KeepGoing: c.KeepGoing, Progress: progress})
	stop()
	if err != nil {
		return err
	}
	return a.showCopy(r, to)
}

func (a *app) showCopy(r *archive.CopyReport, to blob.Store) error {
	if a.cli.JSON {
		if err := a.answer(r); err != nil {
			return err
		}
	} else {
		a.notices(r.Notices)
		for i, d := range r.Damage {
			if i == maxShown {
				fmt.Fprintf(a.err, "... and %d more; --json has all of them\n", len(r.Damage)-i)
				break
			}
			fmt.Fprintf(a.err, "not copied: %s: %s\n", printable(d.Object), escaped(d.Detail))
		}
		if !a.cli.Quiet {
			fmt.Fprintf(a.out, "Copied %s, %s; %s already there.\n", count(r.Objects, "object"), byteSize(r.Bytes), countWere(r.Skipped))
			if r.Whole {
				fmt.Fprintf(a.out, "Archive %s is whole at %s, generation %d.\n", r.Archive, printable(to.String()), r.Generation)
			}
		}
	}
	if len(r.Damage) > 0 {
		return outcome{codeDamaged, fmt.Sprintf("%s could not be copied", count(int64(len(r.Damage)), "object")),
			"Mend the source first: coffer repair, with --from OTHER_DEST if another copy has them; then run the same command again\n  To copy what there is: --keep-going"}
	}
	return nil
}

func countWere(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}
