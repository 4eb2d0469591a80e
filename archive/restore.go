// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// RestoreConfig says what Restore brings back, and where to. Dir is needed.
type RestoreConfig struct {
	Snapshot  string   // name as for Archive.Snapshot
	Dir       string   // made if absent
	Paths     []string // only these, what is below them, and the folders they are in; empty: all
	Overwrite bool     // replace files that are in the way; not folders
	KeepGoing bool     // bring back all that is not damaged, and report the rest
	Setuid    bool     // set also setuid, setgid and sticky bits
	Progress  *Progress
}

// Restore writes a snapshot's files below a folder and nowhere else, whatever the archive or links in the folder say. A file
// appears under its name when it is complete, with its mode and time; until then it is in a private folder beside. Symbolic
// links are made last. An interrupted restore of the same snapshot continues: files in place are skipped, and what is
// there of large ones is kept as far as it is right. Owners, hard links and extended attributes are not kept. Two restores
// do not work in one folder at once: the second is refused with ErrOccupied.
//
// Errors: ErrOccupied, ErrNoSnapshot and ErrNoPath before anything was written; ErrOccupied also for what appears in the way
// later; ErrDamaged (not if KeepGoing), ErrNoSpace, the destination's.
func (a *Archive) Restore(ctx context.Context, c RestoreConfig) (*RestoreReport, error) {
	c.Progress.begin("reading the listing", 0, 0)
	s, err := a.Snapshot(ctx, c.Snapshot)
	if err != nil {
		return nil, err
	}
	r := &restore{a: a, c: c, s: s, paths: selection(c.Paths), report: &RestoreReport{Snapshot: s.Info().ID}, siblings: map[string]bool{}}
	defer r.close()
	if err := r.run(ctx); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return nil, err
	}
	r.report.Files, r.report.Skipped, r.report.Bytes = r.files.Load(), r.skipped.Load(), r.bytes.Load()
	return r.report, nil
}

// A restore works through the listing in batches: plans one, fetches its contents in the order they lie in the packs, writes
// them, goes on. So its memory does not grow with the snapshot, but for folders and links, which wait for the end.
type restore struct {
	a      *Archive
	c      RestoreConfig
	s      *Snapshot
	paths  []string // to be restored, in the order of the listing, none below another
	report *RestoreReport
	names  *placer
	links  []placedLink

	root     *os.Root        // the target; nil while it does not exist
	work     *os.Root        // the private folder
	lock     *os.File        // its state file
	made     bool            // the target did not exist: it gets mode and time as all folders
	empty    bool            // nothing was in it
	resume   bool            // an earlier restore of this snapshot was interrupted
	siblings map[string]bool // targets of entries that may be what SQLite wants beside a database

	mu                    sync.Mutex
	files, skipped, bytes atomic.Int64
}

type placedLink struct {
	name, target string
	folder       int
	modTime      time.Time
}

// selection puts paths into the order of the listing and leaves out those below others.
func selection(paths []string) []string {
	if len(paths) == 0 {
		return []string{""}
	}
	sorted := make([]string, len(paths))
	for i, p := range paths {
		sorted[i] = strings.Trim(p, "/")
	}
	slices.SortFunc(sorted, format.ComparePaths)
	selected := sorted[:1]
	for _, p := range sorted[1:] {
		if last := selected[len(selected)-1]; p != last && !within(p, last) {
			selected = append(selected, p)
		}
	}
	return selected
}

// parents returns the folders that a path is in, outermost first.
func parents(p string) (folders []string) {
	if p != "" {
		folders = append(folders, "")
	}
	for i := range len(p) {
		if p[i] == '/' {
			folders = append(folders, p[:i])
		}
	}
	return folders
}

// entries visits what is to be restored, and before it the folders that it is in.
func (r *restore) entries(ctx context.Context, visit func(e *format.Entry, parent bool) error) error {
	for i, p := range r.paths {
		for _, folder := range parents(p) {
			if i > 0 && (folder == "" || within(r.paths[i-1], folder)) {
				continue // came before
			}
			if _, err := r.visit(ctx, folder, false, func(e *format.Entry) error { return visit(e, true) }); err != nil {
				return err
			}
		}
		found, err := r.visit(ctx, p, true, func(e *format.Entry) error { return visit(e, false) })
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: %q", ErrNoPath, p)
		}
	}
	return nil
}

func (r *restore) visit(ctx context.Context, path string, below bool, visit func(e *format.Entry) error) (found bool, err error) {
	for e, err := range r.a.entries(ctx, r.s.body, path, below) {
		found = true
		if err == nil {
			err = visit(e)
		} else if r.c.KeepGoing && lost(err) {
			r.problem(path, ProblemDamaged, err.Error())
			err = nil
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

func (r *restore) problem(path string, kind ProblemKind, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Problems = append(r.report.Problems, Problem{path, kind, detail})
}

func (r *restore) run(ctx context.Context) error {
	if err := r.open(); err != nil {
		return err
	}
	bytes, files, err := r.check(ctx)
	if errors.Is(err, ErrOccupied) {
		r.tidy()
	}
	if err != nil {
		return err
	}
	r.report.Problems = nil // they come again below
	if err := r.begin(); err != nil {
		return err
	}
	r.c.Progress.begin("restoring", bytes, files)
	b := &batch{r: r}
	err = r.entries(ctx, func(e *format.Entry, parent bool) error { return b.add(ctx, e, parent) })
	if err == nil {
		err = b.run(ctx)
	}
	if err == nil {
		err = r.makeLinks()
	}
	if err == nil {
		err = r.finish()
	}
	return err
}

// makeLinks makes the symbolic links, when nothing is written through any path any more.
func (r *restore) makeLinks() error {
	for i := range r.links {
		l := &r.links[i]
		name := path.Join(r.names.path(l.folder), l.name)
		if err := r.makeLink(name, l); err != nil {
			if !r.c.KeepGoing || errors.Is(err, ErrOccupied) {
				return fmt.Errorf("make the symbolic link %q: %w", name, err)
			}
			r.problem(name, ProblemUnreadable, err.Error())
			continue
		}
		setLinkTime(r.root, name, l.modTime)
		r.files.Add(1)
		r.c.Progress.add(0, 1)
	}
	return nil
}

func (r *restore) makeLink(name string, l *placedLink) error {
	if old, err := r.root.Readlink(name); err == nil && old == l.target {
		r.skipped.Add(1)
		return nil
	}
	if err := r.clear(name); err != nil {
		return err
	}
	err := r.inFolder(name, func() error { return r.root.Symlink(l.target, name) })
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: it appeared during the restore", ErrOccupied)
	}
	return err
}

// clear removes a file that is in the way, if that is allowed.
func (r *restore) clear(target string) error {
	if !r.c.Overwrite {
		return nil
	}
	if err := r.root.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// finish gives folders their modes and times, inner ones first, when nothing is written into them any more.
func (r *restore) finish() error {
	folders := r.names.folders
	for i := len(folders) - 1; i > 0; i-- {
		if err := r.finishFolder(r.names.path(i), &folders[i]); err != nil {
			return err
		}
	}
	if err := r.removeWork(); err != nil { // before the target may become read-only
		return err
	}
	return r.finishFolder(".", &folders[0])
}

func (r *restore) finishFolder(name string, f *placedFolder) error {
	if !f.finish {
		return nil
	}
	if err := r.root.Chtimes(name, f.modTime, f.modTime); err != nil {
		return fmt.Errorf("set the time of folder %q: %w", name, err)
	}
	if err := r.root.Chmod(name, r.mode(f.mode)); err != nil {
		return fmt.Errorf("set the mode of folder %q: %w", name, err)
	}
	return nil
}

func (r *restore) mode(m uint32) os.FileMode {
	mode := os.FileMode(m & 0o777)
	if r.c.Setuid {
		for bit, flag := range map[uint32]os.FileMode{0o4000: os.ModeSetuid, 0o2000: os.ModeSetgid, 0o1000: os.ModeSticky} {
			if m&bit != 0 {
				mode |= flag
			}
		}
	}
	return mode
}
