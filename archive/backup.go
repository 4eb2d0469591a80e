// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// BackupConfig says what Backup backs up. Source and StateDir are needed.
type BackupConfig struct {
	Source    string   // folder
	Exclude   []string // patterns of paths to leave out, as in .gitignore but without negation
	Databases []string // GLOB[:PAGESIZE]: databases without the SQLite magic, such as SQLCipher's
	ReadAll   bool     // read also files that look unchanged
	StateDir  string   // for the cache and temporary copies; nobody else uses it meanwhile
	// CopyDatabase makes dst a consistent copy of the SQLite database at src, which other processes are writing. It must not
	// run in a process that has src open otherwise: closing a file drops that process's POSIX locks on it. An error that is
	// not ErrNoSpace means that src cannot be read as a database; it is then stored as an ordinary file and reported.
	// nil: databases are copied as they lie, together with their -wal, and retried until they held still.
	CopyDatabase func(ctx context.Context, src, dst string) error
	Progress     *Progress
}

// maxRetries is how often Backup starts again when another run changed the archive under it.
const maxRetries = 3

// Backup makes a new snapshot of the source, or none if nothing changed. When it returns nil the snapshot is durable and
// complete but for what the report names. A killed or failed backup leaves all earlier snapshots as they were, and the
// packs it had finished are used by the next one.
//
// Errors: ErrLocked, ErrNoSpace, ErrKeyReplaced, ErrDamaged, ErrConcurrent, those of the destination, and the source's.
func (a *Archive) Backup(ctx context.Context, c BackupConfig) (*BackupReport, error) {
	if a.replaced != nil {
		return nil, a.replaced
	}
	if err := a.checkHeads(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		report, err := a.backup(ctx, c)
		err = a.concurrent(ctx, err)
		if try == maxRetries || !errors.Is(err, ErrConcurrent) {
			return report, err
		}
		if err := a.loadHead(ctx); err != nil {
			return nil, err
		}
	}
}

// A run is one backup. The walk, the workers and the lister work at the same time: the walk sends each path as a job to the
// lister, in order, and to the workers if it must be read; a worker closes the job's done; the lister waits for that. So
// entries come in the order of the walk, and the channel's capacity bounds how far the walk runs ahead.
type run struct {
	a          *Archive
	c          BackupConfig
	started    time.Time
	tree       *source.Tree
	globs      []source.DatabaseGlob
	previous   *format.Snapshot // nil: none
	p          *packer
	hasher     *format.Hasher
	tmp        string
	release    func() // of the lock, once it is held
	store      *backupStore
	listed     time.Time // when the archive was
	locked     bool      // there were locks then
	databases  map[string]*job
	companions []*job          // copied with a database; in the snapshot even if they are gone when the walk comes
	left       map[string]bool // paths that a database's copy stands for: its -wal, -shm and -journal

	mu       sync.Mutex
	problems []Problem
	unlisted int // problems that are too many to be kept
	read     int64
}

// A job is one path on its way into the listing.
type job struct {
	item  source.Item
	entry format.Entry
	drop  bool // not in the snapshot
	copy  *databaseCopy
	done  chan struct{}

	listed bool // the walk has come to it
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

const jobsAhead = 4096

func (a *Archive) backup(ctx context.Context, c BackupConfig) (*BackupReport, error) {
	bytes, objects := a.addedBytes.Load(), a.addedObjects.Load()
	r := &run{a: a, c: c, started: a.now(), databases: map[string]*job{}, left: map[string]bool{}, hasher: a.keyring.Hasher()}
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	report, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	report.Started, report.Finished = r.started, a.now()
	report.AddedBytes, report.AddedObjects = a.addedBytes.Load()-bytes, a.addedObjects.Load()-objects
	if r.unlisted > 0 {
		a.notice("there are %d more problems than are listed", r.unlisted)
	}
	report.ReadBytes, report.Problems, report.Notices = r.read, r.problems, a.Notices()
	return report, nil
}

// prepare reads the archive's state and opens the source.
func (r *run) prepare(ctx context.Context) (err error) {
	r.c.Progress.begin("preparing", 0, 0)
	if r.tree, err = source.Open(r.c.Source, r.c.Exclude); err != nil {
		return err
	}
	for _, text := range r.c.Databases {
		g, err := source.ParseDatabaseGlob(text)
		if err != nil {
			return err
		}
		r.globs = append(r.globs, g)
	}
	if err := r.prepareDirs(); err != nil {
		return err
	}
	present, locks, err := r.a.listAll(ctx)
	if err != nil {
		return err
	}
	r.listed, r.locked = r.a.now(), locks > 0
	r.store = newBackupStore(r.a, r.c.StateDir, r.c.ReadAll, present)
	r.a.store = r.store // until close
	c, err := r.a.backupCatalog(ctx, packsOf(present))
	if err != nil {
		return err
	}
	r.a.catalog = c
	if n := len(r.a.head.Snapshots); n > 0 {
		if r.previous, err = r.a.readSnapshot(ctx, r.a.head.Snapshots[n-1].Name); errors.Is(err, ErrDamaged) {
			r.a.notice("the newest snapshot is damaged: %v", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// prepareDirs makes the private folders, and removes what a killed run left in them.
func (r *run) prepareDirs() error {
	tmp := filepath.Join(r.c.StateDir, "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove leftovers of an earlier run: %w", err)
	}
	for _, dir := range []string{tmp, filepath.Join(r.c.StateDir, "cache")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make a private folder: %w", err)
		}
	}
	r.tmp = tmp
	return nil
}

func (r *run) close() {
	if r.p != nil {
		r.p.abort()
	}
	if r.release != nil {
		r.release()
	}
	if r.tmp != "" {
		os.RemoveAll(r.tmp)
	}
	if r.store != nil {
		r.a.store = r.store.Store
	}
}

func (r *run) cachePath() string { return filepath.Join(r.c.StateDir, "cache", "files") }

func (r *run) problem(path string, kind ProblemKind, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.problems) >= format.MaxProblems && kind != ProblemTorn && kind != ProblemChanged { // those must show, see Torn
		r.unlisted++
		return
	}
	if !slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Path == path && p.Kind == kind }) {
		r.problems = append(r.problems, Problem{path, kind, detail})
	}
}

// run does the work of a backup, first to last.
func (r *run) run(ctx context.Context) (*BackupReport, error) {
	r.p = r.a.newPacker(ctx, r.a.catalog)
	r.p.beforeFirst, r.p.progress = r.takeLock, r.c.Progress
	g, ctx := errgroup.WithContext(r.p.ctx)
	work, ordered := make(chan *job), make(chan *job, jobsAhead)
	for range workers() {
		g.Go(func() error { return r.worker(ctx, work) })
	}
	g.Go(func() error {
		defer close(work)
		defer close(ordered)
		if err := r.copyDatabases(ctx, work); err != nil {
			return err
		}
		return r.walk(ctx, work, ordered)
	})
	l, err := r.newLister()
	if err != nil {
		return nil, errors.Join(err, stop(r.p, g))
	}
	defer l.cache.discard()
	g.Go(func() error { return r.list(ctx, l, ordered) })
	if err := g.Wait(); err != nil {
		if cause := context.Cause(r.p.ctx); cause != nil {
			err = cause // the first failure, not one that it led to
		}
		return nil, err
	}
	report := &BackupReport{Files: int64(l.files), SourceBytes: int64(l.bytes)}
	if r.unchanged(l) {
		report.Unchanged = true
		if r.locked {
			r.a.dropOwnLocks(r.p.ctx)
		}
		report.Snapshot = snapshotID(r.a.head.Snapshots[len(r.a.head.Snapshots)-1].Name)
	} else if err := r.commit(l, report); err != nil {
		return nil, err
	}
	r.store.tidy()
	if err := l.cache.commit(); err != nil { // it is a hint only
		r.a.notice("%v; the next backup takes longer", err)
	}
	return report, nil
}

func stop(p *packer, g *errgroup.Group) error {
	p.end(context.Canceled)
	g.Wait()
	return nil
}

// unchanged reports whether the listing is the previous snapshot's, and nothing is to be mended: no content that it had lost, no
// pack that an index should describe, no fork.
func (r *run) unchanged(l *lister) bool {
	return r.previous != nil && len(r.p.known) == 0 && len(r.adopted()) == 0 && len(r.p.catalog.damaged) == 0 &&
		len(r.a.tips) == 1 && len(r.a.passed) == 0 && slices.Equal(l.leaves, r.previous.Leaves)
}

func (r *run) newLister() (*lister, error) {
	cache, err := createCache(r.cachePath(), r.started)
	if err != nil {
		return nil, err
	}
	return &lister{p: r.p, hasher: r.hasher.Clone(), encoder: newEncoder(), cache: cache}, nil
}

// list takes the jobs in the order of the walk.
func (r *run) list(ctx context.Context, l *lister, ordered <-chan *job) error {
	for j := range ordered {
		select {
		case <-j.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if j.drop {
			continue
		}
		if err := l.add(j.entry, j.item.Stat); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.flush()
}
