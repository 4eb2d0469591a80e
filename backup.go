// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/source"
)

// BackupOptions are what one run may do differently from the set-up.
type BackupOptions struct {
	Exclude     []string // more patterns, for this run
	ReadAll     bool     // read every file, also those that look unchanged
	AcceptOlder bool     // go on although the destination is older than this device has seen
	Progress    *archive.Progress

	// OnDestination is called at the end for each destination of the device, if the snapshot is written: it may be missing at some of them.
	OnDestination func(DestinationRun)
}

// Backup makes a snapshot, unless nothing has changed, and records the run
// whatever comes of it. It first finishes a change of the key that a crash interrupted.
// A report with problems is a success: the snapshot is written, and the report says what is not whole in it.
//
// Of several destinations, one that can be written to and is the newest gets the snapshot, a folder first; the others are then brought to the same
// state. One that fails does not stop the others, is reported, and is caught up by the next backup. The error is that of a run that
// could write the snapshot nowhere.
//
// Errors: ErrNotEnabled, ErrBusy, ErrNoKey, ErrSource, ErrRules, archive.ErrRolledBack and the others of package archive,
// those of the destination.
func (d *Device) Backup(ctx context.Context, o BackupOptions) (*archive.BackupReport, error) {
	unlock, err := d.lock("backup")
	if err != nil {
		return nil, err // the other process records its own run
	}
	defer unlock()
	c, err := d.Config()
	if err != nil {
		return nil, err
	}
	started := d.now()
	report, at, notice, err := d.backup(ctx, c, o)
	done := run(started, d.now(), report, at, err)
	done.Vault = notice
	if recordErr := d.record(done); recordErr != nil && err == nil {
		report.Notices = append(report.Notices, fmt.Sprintf("this run could not be recorded for the status: %v", recordErr))
	}
	if err == nil && o.OnDestination != nil {
		for _, each := range at {
			o.OnDestination(each)
		}
	}
	return report, err
}

// backup returns also what came of each destination, and why the vault does not know of it yet.
func (d *Device) backup(ctx context.Context, c Config, o BackupOptions) (report *archive.BackupReport, at []DestinationRun, notice string, err error) {
	exclude, err := d.excludes(c, o.Exclude)
	if err != nil {
		return nil, nil, "", err
	}
	if err := checkSource(c.Source); err != nil {
		return nil, nil, "", err
	}
	if notice, err = d.settleOrSay(ctx, c, o.AcceptOlder); err != nil {
		return nil, nil, "", err
	}
	if _, err := source.Open(c.Source, exclude); err != nil {
		return nil, nil, notice, fmt.Errorf("%w: %w", ErrRules, err)
	}
	places, err := d.openPlaces(ctx, c, o.AcceptOlder)
	if err != nil {
		return nil, nil, notice, err
	}
	defer places.close()
	report, head, err := d.writeSnapshot(ctx, places, o, exclude)
	if err != nil {
		return nil, places.outcomes(), notice, err
	}
	if notice == "" { // else the vault has been asked just now
		notice = d.tell(ctx, c, head)
	}
	if notice != "" {
		report.Notices = append(report.Notices, notice)
	}
	return report, places.outcomes(), notice, nil
}

// writeSnapshot writes it to one place after the other until one takes it, and brings the others to the same state.
func (d *Device) writeSnapshot(ctx context.Context, ps *places, o BackupOptions, exclude []string) (*archive.BackupReport, archive.Head, error) {
	for {
		main := ps.newest(true)
		if main == nil {
			return nil, archive.Head{}, ps.failure()
		}
		report, err := d.writeAt(ctx, ps, main, o, exclude)
		if err != nil {
			if len(ps.list) == 1 || !ofDestination(ctx, err) {
				return nil, archive.Head{}, err
			}
			ps.failWriter(main, err)
			continue
		}
		main.wrote = !report.Unchanged
		ps.follow(ctx, main, false, o.Progress)
		for _, n := range main.archive.Notices() {
			if !slices.Contains(report.Notices, n) {
				report.Notices = append(report.Notices, n)
			}
		}
		return report, main.archive.Head(), ctx.Err()
	}
}

func (d *Device) writeAt(ctx context.Context, ps *places, main *place, o BackupOptions, exclude []string) (*archive.BackupReport, error) {
	if err := ps.lead(ctx, main, o.Progress); err != nil {
		return nil, err
	}
	report, err := main.archive.Backup(ctx, archive.BackupConfig{
		Source:       ps.c.Source,
		Exclude:      exclude,
		Databases:    ps.c.Databases,
		ReadAll:      o.ReadAll,
		StateDir:     d.dir,
		CopyDatabase: d.o.CopyDatabase,
		Progress:     o.Progress,
	})
	if err == nil && o.AcceptOlder {
		// The user has taken the older state for the true one: from now on it counts.
		err = d.remember(ps.c, main.text, main.archive.Head(), true)
	}
	return report, err
}

func checkSource(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrSource, err)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder", ErrSource, path)
	}
	return nil
}

// excludes returns all patterns of a run. What is Coffer's own and lies inside of the
// source is left out too: it changes with every backup.
func (d *Device) excludes(c Config, more []string) ([]string, error) {
	patterns := append([]string(nil), c.Exclude...)
	if c.ExcludeFile != "" {
		fromFile, err := readPatterns(c.ExcludeFile)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, fromFile...)
	}
	patterns = append(patterns, more...)
	for _, own := range d.ownFolders(c.Destinations) {
		if rel, ok := below(own, c.Source); ok {
			patterns = append(patterns, "/"+escapePattern(filepath.ToSlash(rel))+"/")
		}
	}
	return patterns, nil
}

// ownFolders are Coffer's own. A destination in a cloud is none, whatever a path would make of its text.
func (d *Device) ownFolders(destinations []string) []string {
	own := []string{d.dir}
	for _, text := range destinations {
		if isFolder(text) {
			own = append(own, text)
		}
	}
	return own
}

// readPatterns reads an exclude file: a pattern a line, as in .gitignore. Which lines
// are comments is for the archive to say.
func readPatterns(path string) ([]string, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("%w: exclude file: %w", ErrRules, err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			patterns = append(patterns, line)
		}
	}
	return patterns, nil
}

var patternEscapes = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`)

func escapePattern(path string) string { return patternEscapes.Replace(path) }

// below returns path relative to folder if it lies in it or is it. Symbolic links are followed as far as there are files.
func below(path, folder string) (rel string, ok bool) {
	rel, err := filepath.Rel(resolve(folder), resolve(path))
	return rel, err == nil && filepath.IsLocal(rel)
}

func resolve(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}
