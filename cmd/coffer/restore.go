// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/destination"
)

type restoreCmd struct {
	fromFlags
	To        string   `required:"" placeholder:"DIR" help:"Folder to restore into; made if it is not there."`
	Snapshot  string   `default:"latest" placeholder:"S" help:"Which snapshot: latest, or the beginning of an id."`
	Overwrite bool     `help:"Replace files that are in the way."`
	KeepGoing bool     `help:"Get back everything that is whole, and name what is not."`
	Setuid    bool     `help:"Also set setuid, setgid and sticky bits."`
	Paths     []string `arg:"" optional:"" name:"path" help:"Only these, and what is below them."`
}

func (restoreCmd) Help() string {
	return "A restore that was interrupted continues where it stopped: run the same command again.\n\n" + examples(
		"coffer restore --from /media/disk/backup --to ~/Chats      on any computer; asks for the key or the password",
		"coffer restore --to /tmp/look Media/Photos                 one folder, on the device itself",
		"coffer restore --snapshot 3f9a --to /tmp/old",
	)
}

func (c *restoreCmd) Run(a *app) error {
	paths := make([]string, len(c.Paths))
	for i, p := range c.Paths {
		var err error
		if paths[i], err = cleanPath(p); err != nil {
			return err
		}
	}
	if err := c.checkTarget(a); err != nil {
		return err
	}
	c.passDamaged = c.KeepGoing
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	if !a.ownArchive(arch.ID()) && arch.Head().Generation > 0 {
		a.remarkFreshness(fmt.Sprintf("Archive %s, newest state", arch.ID()), arch.ID(), arch.Head())
	}
	progress, stop := a.watch("restore")
	report, err := arch.Restore(a.ctx, archive.RestoreConfig{
		Snapshot: c.Snapshot, Dir: c.To, Paths: paths,
		Overwrite: c.Overwrite, KeepGoing: c.KeepGoing, Setuid: c.Setuid, Progress: progress,
	})
	stop()
	if a.unreadable != nil && errors.Is(err, archive.ErrNoSnapshot) {
		return a.unreadable
	}
	if errors.Is(err, fs.ErrPermission) && !errors.Is(err, blob.ErrDenied) {
		return outcome{codeFailed, fmt.Sprintf("this user may not write to %s: %v", c.To, err), "Restore into another folder: --to DIR"}
	}
	if err != nil {
		return err
	}
	if a.unreadable != nil {
		a.warn("this is snapshot %s; there may be newer ones", report.Snapshot)
	}
	return c.show(a, report)
}

// checkTarget refuses folders that a restore cannot or must not go into.
func (c *restoreCmd) checkTarget(a *app) error {
	if _, err := os.Stat(c.To); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(c.To); err == nil {
			return fmt.Errorf("%w: %s is a symbolic link that leads nowhere", archive.ErrOccupied, c.To)
		}
	}
	d, err := a.device()
	if err != nil {
		return err
	}
	all, err := c.destinations(d)
	if err != nil {
		return err
	}
	for _, text := range all {
		l, err := destination.Parse(text)
		if err != nil {
			return err
		}
		if folder, ok := l.(destination.Folder); ok && inside(c.To, folder.Path) {
			return usagef("%s lies inside of the destination %s, where only the archive may be; restore into another folder", c.To, text)
		}
	}
	return nil
}

func (c *restoreCmd) show(a *app, r *archive.RestoreReport) error {
	damaged := 0
	for _, p := range r.Problems {
		if p.Kind == archive.ProblemDamaged {
			damaged++
		}
	}
	if a.cli.JSON {
		if err := a.answer(struct {
			*archive.RestoreReport
			Problems []jsonProblem `json:"problems"`
		}{r, problemsJSON(r.Problems)}); err != nil {
			return err
		}
	} else {
		a.problems(r.Problems)
		if !a.cli.Quiet {
			fmt.Fprintf(a.out, "Restored %s, %s, from snapshot %s into %s.\n",
				count(r.Files, "entry"), byteSize(r.Bytes), shortID(r.Snapshot), printable(c.To))
			if r.Skipped > 0 {
				fmt.Fprintf(a.out, "Of these, %s from an interrupted restore were in place already.\n", count(r.Skipped, "entry"))
			}
		}
	}
	if damaged > 0 {
		return outcome{codeDamaged, fmt.Sprintf("%s could not be restored whole; everything else is there", count(int64(damaged), "file")),
			"Another copy of the archive may have them: " + a.repairCommand() + "\n  Or an earlier snapshot: coffer find NAME" + a.fromFlag()}
	}
	if a.unreadable != nil {
		return a.unreadable
	}
	return nil
}
