// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

type snapshotsCmd struct{ fromFlags }

func (c *snapshotsCmd) Run(a *app) error {
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	l, err := a.begin("snapshots", map[string]any{"archive": arch.ID(), "generation": arch.Head().Generation})
	if err != nil {
		return err
	}
	for _, s := range arch.Snapshots() {
		line := fmt.Sprintf("%s  %s  %15s  %8s", shortID(s.ID), clock(s.Time), count(s.Files, "entry"), byteSize(s.Bytes))
		if err := l.add(line, s); err != nil {
			return err
		}
	}
	if l.items == 0 {
		a.remark("There is no snapshot yet. Make one: coffer backup")
	}
	return l.end(nil)
}

type lsCmd struct {
	fromFlags
	Recursive bool   `short:"r" help:"Also everything below."`
	Snapshot  string `arg:"" default:"latest" help:"latest, or the beginning of an id."`
	Path      string `arg:"" optional:"" help:"A folder or file; without it, the top."`
}

func (c *lsCmd) Run(a *app) error {
	path, err := cleanPath(c.Path)
	if err != nil {
		return err
	}
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	snapshot, err := arch.Snapshot(a.ctx, c.Snapshot)
	if err != nil {
		return err
	}
	l, err := a.begin("entries", map[string]any{"snapshot": snapshot.Info().ID})
	if err != nil {
		return err
	}
	for e, err := range snapshot.List(a.ctx, path, c.Recursive) {
		if err != nil {
			return l.end(err)
		}
		if err := l.add(entryLine(e), entryJSON(e)); err != nil {
			return err
		}
	}
	return l.end(nil)
}

type findCmd struct {
	fromFlags
	Snapshot string `placeholder:"S" help:"Only in this snapshot."`
	Pattern  string `arg:"" help:"A part of the name, in any case; or a pattern with * ? [ ], matched against the name, or against the path if it has a slash."`
}

func (findCmd) Help() string {
	return "The newest snapshot comes first; a file is listed again where an older snapshot has another version of it.\n\n" +
		examples("coffer find holiday", "coffer find '*.opus'", "coffer find 'Media/*/IMG-2025*'")
}

func (c *findCmd) Run(a *app) error {
	matches, err := matcher(c.Pattern)
	if err != nil {
		return err
	}
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	names := []string{c.Snapshot}
	if c.Snapshot == "" {
		names = nil
		for _, s := range slices.Backward(arch.Snapshots()) {
			names = append(names, s.ID.String())
		}
	}
	l, err := a.begin("matches", map[string]any{"archive": arch.ID()})
	if err != nil {
		return err
	}
	seen := make(map[string]fileVersion) // what was listed last, by path
	for _, name := range names {
		if err := c.search(a, arch, name, matches, seen, l); err != nil {
			return l.end(err)
		}
	}
	if l.items == 0 {
		return l.end(outcome{codeNotThere, "nothing matches " + printable(c.Pattern), ""})
	}
	return l.end(nil)
}

// fileVersion tells two versions of a file apart.
type fileVersion struct {
	size int64
	time time.Time
}

func (c *findCmd) search(a *app, arch *archive.Archive, name string, matches func(string) bool, seen map[string]fileVersion, l *listing) error {
	snapshot, err := arch.Snapshot(a.ctx, name)
	if err != nil {
		return err
	}
	id := snapshot.Info().ID
	for e, err := range snapshot.List(a.ctx, "", true) {
		if err != nil {
			return err
		}
		v := fileVersion{e.Size, e.ModTime}
		if old, listed := seen[e.Path]; !matches(e.Path) || listed && old == v {
			continue
		}
		seen[e.Path] = v
		item := struct {
			Snapshot archive.ID `json:"snapshot"`
			jsonEntry
		}{id, entryJSON(e)}
		if err := l.add(shortID(id)+"  "+entryLine(e), item); err != nil {
			return err
		}
	}
	return nil
}

func matcher(pattern string) (func(string) bool, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		lower := strings.ToLower(pattern)
		return func(p string) bool { return strings.Contains(strings.ToLower(path.Base(p)), lower) }, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, usagef("%q is not a pattern: %w", pattern, err)
	}
	whole := strings.Contains(pattern, "/")
	pattern = strings.TrimPrefix(pattern, "/")
	return func(p string) bool {
		if !whole {
			p = path.Base(p)
		}
		ok, _ := path.Match(pattern, p)
		return ok
	}, nil
}

type diffCmd struct {
	fromFlags
	Old string `arg:"" help:"The older snapshot."`
	New string `arg:"" default:"latest" help:"The newer one."`
}

func (diffCmd) Help() string {
	return "+ added, - removed, M contents changed, m only permissions or time.\n\n" + examples("coffer diff 3f9a latest")
}

var changeMarks = map[string]string{"added": "+", "removed": "-", "changed": "M", "metadata": "m"}

func (c *diffCmd) Run(a *app) error {
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	older, err := arch.Snapshot(a.ctx, c.Old)
	if err != nil {
		return err
	}
	newer, err := arch.Snapshot(a.ctx, c.New)
	if err != nil {
		return err
	}
	l, err := a.begin("changes", map[string]any{"old": older.Info().ID, "new": newer.Info().ID})
	if err != nil {
		return err
	}
	for change, err := range arch.Diff(a.ctx, older, newer) {
		if err != nil {
			return l.end(err)
		}
		if err := l.add(changeMarks[change.Kind]+" "+printable(change.Path), changeJSON(change)); err != nil {
			return err
		}
	}
	return l.end(nil)
}

func changeJSON(c archive.Change) any {
	j := struct {
		jsonPath
		Kind string     `json:"kind"`
		Old  *jsonEntry `json:"old,omitempty"`
		New  *jsonEntry `json:"new,omitempty"`
	}{jsonPath: pathJSON(c.Path), Kind: c.Kind}
	if c.Kind != "added" {
		e := entryJSON(c.Old)
		j.Old = &e
	}
	if c.Kind != "removed" {
		e := entryJSON(c.New)
		j.New = &e
	}
	return j
}

type dumpCmd struct {
	fromFlags
	Snapshot string `arg:"" help:"latest, or the beginning of an id."`
	Path     string `arg:"" help:"The file."`
}

func (dumpCmd) Help() string { return examples("coffer dump latest Media/photo.jpg > photo.jpg") }

func (c *dumpCmd) Run(a *app) error {
	path, err := cleanPath(c.Path)
	if err != nil {
		return err
	}
	arch, err := c.open(a)
	if err != nil {
		return err
	}
	defer arch.Close()
	snapshot, err := arch.Snapshot(a.ctx, c.Snapshot)
	if err != nil {
		return err
	}
	a.answered = true // the file is the answer
	return snapshot.Dump(a.ctx, path, a.out)
}
