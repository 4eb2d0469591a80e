// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
}

// Backup makes a snapshot, unless nothing has changed, and records the run
// whatever comes of it. It first finishes a change of the key that a crash interrupted.
// A report with problems is a success: the snapshot is written, and the report says what is not whole in it.
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
	report, notice, err := d.backup(ctx, c, o)
	done := run(started, d.now(), report, err)
	done.Vault = notice
	if recordErr := d.record(done); recordErr != nil && err == nil {
		report.Notices = append(report.Notices, fmt.Sprintf("this run could not be recorded for the status: %v", recordErr))
	}
	return report, err
}

// backup returns also why the vault does not know of it yet.
func (d *Device) backup(ctx context.Context, c Config, o BackupOptions) (report *archive.BackupReport, notice string, err error) {
	exclude, err := d.excludes(c, o.Exclude)
	if err != nil {
		return nil, "", err
	}
	if err := checkSource(c.Source); err != nil {
		return nil, "", err
	}
	if notice, err = d.settleOrSay(ctx, c, o.AcceptOlder); err != nil {
		return nil, "", err
	}
	report, head, err := d.writeSnapshot(ctx, c, o, exclude)
	if err != nil {
		return nil, notice, err
	}
	if notice == "" { // else the vault has been asked just now
		notice = d.tell(ctx, c, head)
	}
	if notice != "" {
		report.Notices = append(report.Notices, notice)
	}
	return report, notice, nil
}

func (d *Device) writeSnapshot(ctx context.Context, c Config, o BackupOptions, exclude []string) (*archive.BackupReport, archive.Head, error) {
	if _, err := source.Open(c.Source, exclude); err != nil {
		return nil, archive.Head{}, fmt.Errorf("%w: %w", ErrRules, err)
	}
	a, err := d.open(ctx, c, o.AcceptOlder)
	if err != nil {
		return nil, archive.Head{}, err
	}
	defer a.Close()
	report, err := a.Backup(ctx, archive.BackupConfig{
		Source:       c.Source,
		Exclude:      exclude,
		Databases:    c.Databases,
		ReadAll:      o.ReadAll,
		StateDir:     d.dir,
		CopyDatabase: d.o.CopyDatabase,
		Progress:     o.Progress,
	})
	if err == nil && o.AcceptOlder {
		// The user has taken the older state for the true one: from now on it counts.
		err = d.remember(c.Archive, a.Head(), true)
	}
	return report, a.Head(), err
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
	for _, own := range d.ownFolders(c.Destination) {
		if rel, ok := below(own, c.Source); ok {
			patterns = append(patterns, "/"+escapePattern(filepath.ToSlash(rel))+"/")
		}
	}
	return patterns, nil
}

// ownFolders are Coffer's own. A destination in a cloud is none, whatever a path would make of its text.
func (d *Device) ownFolders(destination string) []string {
	if filepath.IsAbs(destination) {
		return []string{destination, d.dir}
	}
	return []string{d.dir}
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
