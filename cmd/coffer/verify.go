// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

type verifyCmd struct {
	fromFlags
	ReadAll bool `help:"Read and decrypt every byte; without it, what is needed to know that everything is there."`
}

func (verifyCmd) Help() string {
	return "Do it with --read-all now and then: only that finds a flipped byte in a pack.\n\n" +
		examples("coffer verify --read-all", "coffer verify --from /media/disk/backup --key-file KEY")
}

func (c *verifyCmd) Run(a *app) error {
	c.passDamaged = true // which is a finding
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	progress, stop := a.watch("verify")
	r, err := arch.Verify(a.ctx, archive.VerifyConfig{ReadAll: c.ReadAll, Progress: progress})
	stop()
	if err != nil {
		return err
	}
	if err := a.showVerify(r, c.ReadAll); err != nil {
		return err
	}
	if len(r.Damage) > 0 {
		return fmt.Errorf("%w: %s, %s of snapshots affected", archive.ErrDamaged,
			count(int64(len(r.Damage)), "object"), count(int64(len(r.Affected)), "file"))
	}
	return nil
}

type jsonAffected struct {
	Snapshot archive.ID `json:"snapshot"`
	jsonPath
}

func affectedJSON(affected []archive.Affected) []jsonAffected {
	list := make([]jsonAffected, len(affected))
	for i, f := range affected {
		list[i] = jsonAffected{f.Snapshot, pathJSON(f.Path)}
	}
	return list
}

func (a *app) showVerify(r *archive.VerifyReport, readAll bool) error {
	if a.cli.JSON {
		return a.answer(struct {
			*archive.VerifyReport
			Damage   []archive.Damage `json:"damage"`
			Affected []jsonAffected   `json:"affected"`
			Notices  []string         `json:"notices"`
			Sound    bool             `json:"sound"`
		}{r, list(r.Damage), affectedJSON(r.Affected), list(r.Notices), len(r.Damage) == 0})
	}
	a.notices(r.Notices)
	for _, d := range r.Damage {
		fmt.Fprintf(a.out, "damaged: %s: %s\n", printable(d.Object), escaped(d.Detail))
	}
	a.showAffected(r.Affected)
	if a.cli.Quiet {
		return nil
	}
	if len(r.Damage) == 0 {
		fmt.Fprintf(a.out, "Sound: %s, %s, %s read.\n", count(int64(r.Snapshots), "snapshot"), count(r.Objects, "object"), byteSize(r.ReadBytes))
		if !readAll {
			fmt.Fprintln(a.out, "Contents were not read; coffer verify --read-all does.")
		}
	}
	if r.Orphans > 0 {
		fmt.Fprintf(a.out, "%s (%s) that no snapshot needs: marked for deletion, or left by an interrupted backup. coffer prune deletes them, in two runs a day apart.\n",
			count(r.Orphans, "object"), byteSize(r.OrphanBytes))
	}
	return nil
}

func (a *app) showAffected(affected []archive.Affected) {
	for i, f := range affected {
		if i == maxShown {
			fmt.Fprintf(a.out, "... and %d more; --json has all of them\n", len(affected)-i)
			return
		}
		name := "(the whole snapshot)"
		if f.Path != "" {
			name = printable(f.Path)
		}
		fmt.Fprintf(a.out, "affected: snapshot %s: %s\n", shortID(f.Snapshot), name)
	}
}

type repairCmd struct {
	From string `placeholder:"OTHER_DEST" help:"Another destination with a copy of the same archive, to fetch from."`
	To   string `placeholder:"DEST" help:"Destination of the archive to mend; without it, this device's own."`
	keyFlags
	Archive string `placeholder:"ID" help:"With --to: which archive, if the key opens several there."`
	olderFlag
}

func (repairCmd) Help() string {
	return "What is damaged is fetched whole from the other destination, made anew from what is left, or else taken out, so that the next backup " +
		"stores again what the chat store still has.\n\n" + examples("coffer repair --from /media/copy", "coffer repair")
}

func (c *repairCmd) Run(a *app) error {
	var other blob.Store
	if c.From != "" {
		var err error
		if other, err = a.openDestination(c.From); err != nil {
			return err
		}
	}
	mend := func(arch *archive.Archive) error {
		progress, stop := a.watch("repair")
		r, err := arch.Repair(a.ctx, other, progress)
		stop()
		if err != nil {
			return err
		}
		return a.showRepair(r)
	}
	if c.To == "" && (c.keyFlags != (keyFlags{}) || c.Archive != "") {
		return usagef("--key-file, --password-file, --previous and --archive go with --to")
	}
	flags := fromFlags{From: c.To, keyFlags: c.keyFlags, Archive: c.Archive, olderFlag: c.olderFlag, passDamaged: true, copyOf: other}
	if c.To == "" {
		return a.own("repair", flags, func(arch *archive.Archive, _ *coffer.Others) error { return mend(arch) })
	}
	arch, err := flags.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	return mend(arch)
}

func (a *app) showRepair(r *archive.RepairReport) error {
	if a.cli.JSON {
		if err := a.answer(struct {
			Fetched []string       `json:"fetched"`
			Rebuilt []string       `json:"rebuilt"`
			Dropped []string       `json:"dropped"`
			Lost    []jsonAffected `json:"lost"`
			Notices []string       `json:"notices"`
		}{list(r.Fetched), list(r.Rebuilt), list(r.Dropped), affectedJSON(r.Lost), list(r.Notices)}); err != nil {
			return err
		}
	} else {
		a.notices(r.Notices)
		a.showAffected(r.Lost)
		if !a.cli.Quiet {
			fmt.Fprintf(a.out, "Fetched %s, rebuilt %d, took out %d.\n", count(int64(len(r.Fetched)), "object"), len(r.Rebuilt), len(r.Dropped))
		}
	}
	if len(r.Lost) > 0 {
		return outcome{codeDamaged, fmt.Sprintf("%s of snapshots cannot be mended from here", count(int64(len(r.Lost)), "file")),
			"Run coffer backup: it stores again what the chat store still has. Another copy may have the rest: " + a.repairCommand()}
	}
	return nil
}
