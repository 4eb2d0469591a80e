// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// The store's keys: one of the host, and the core's behind a prefix. The host's key is
// the last thing that Create writes, so a store without it is no fleet.
var (
	createdKey = []byte{0x00}
	coreFrom   = []byte{0x01}
	coreTo     = []byte{0x02}
)

// layout is what stands under createdKey; another one belongs to another version.
const layout = "coffer replica store 1"

func coreKey(key []byte) []byte { return append(coreFrom[:1:1], key...) }

// store is the core's records on disk. Its first failure is its end.
type store struct {
	*health
	db   *pebble.DB
	lock *pebble.Lock

	use    sync.RWMutex // held to read by who may come after close
	closed bool
}

// makeStore opens the store in cfg.Dir, a new one if there is none.
func makeStore(cfg Config) (*store, error) {
	if err := makeDir(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	return openStore(cfg)
}

// makeDir makes dir and what is missing above it, and makes each of these durable:
// Pebble does so only for what it makes itself.
func makeDir(files vfs.FS, dir string) error {
	parent := files.PathDir(dir)
	if _, err := files.Stat(parent); errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(files, parent); err != nil {
			return err
		}
	}
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	above, err := files.OpenDir(parent)
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

// findStore opens the store in cfg.Dir and makes nothing.
func findStore(cfg Config) (*store, error) {
	switch found, err := pebble.Peek(cfg.Dir, cfg.FS); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	case err != nil || !found.Exists:
		return nil, fmt.Errorf("%w: %s", ErrNotCreated, cfg.Dir)
	}
	return openStore(cfg)
}

func openStore(cfg Config) (*store, error) {
	lock, err := pebble.LockDirectory(cfg.Dir, cfg.FS)
	if noFile := (*fs.PathError)(nil); errors.As(err, &noFile) {
		return nil, fmt.Errorf("%w: %w", ErrStore, err) // there was nothing to lock
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	s := &store{health: newHealth(cfg.Dir, cfg.Logger), lock: lock}
	err = s.do(func() (err error) {
		s.db, err = pebble.Open(cfg.Dir, s.options(cfg))
		return err
	})
	if err != nil {
		return nil, err // the lock stays, see close
	}
	return s, nil
}

func (s *store) options(cfg Config) *pebble.Options {
	options := &pebble.Options{
		FS:   guarded{cfg.FS, s.health},
		Lock: s.lock,
		// By name, so that a new Pebble does not change the files under an old one's
		// feet. From this version on a log tells a torn tail, which was never
		// acknowledged, from damage further in, which is an error.
		FormatMajorVersion: pebble.FormatWALSyncChunks,
		MemTableSize:       16 << 20,
		Logger:             s.health,
		EventListener:      s.listener(),
	}
	for level := range options.Levels {
		// Nothing but scans of everything reads the tables, so their indexes may be small.
		options.Levels[level].BlockSize = 64 << 10
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		return pebble.DBCompressionNone // sealed bytes do not compress
	})
	return options
}

// close releases the store. After a failure it releases nothing: goroutines of
// Pebble may still hold files open, and until the process ends nobody else may.
func (s *store) close() error {
	if s.failed() {
		return nil
	}
	s.use.Lock()
	defer s.use.Unlock()
	s.closed = true
	return errors.Join(s.do(s.db.Close), s.lock.Close())
}

// commit makes changes durable, all of them at once: one log record, one fsync. They
// are applied in their order.
func (s *store) commit(changes ...stream.Persist) error {
	return s.do(func() error {
		batch := s.db.NewBatch()
		for _, change := range changes {
			if err := addTo(batch, change); err != nil {
				return err
			}
		}
		return batch.Commit(pebble.Sync)
	})
}

func addTo(batch *pebble.Batch, change stream.Persist) error {
	for _, r := range change.Deletes {
		if err := batch.DeleteRange(coreKey(r.From), coreKey(r.To), nil); err != nil {
			return err
		}
	}
	for _, r := range change.Puts {
		if err := batch.Set(coreKey(r.Key), r.Value, nil); err != nil {
			return err
		}
	}
	return nil
}

// each calls visit with every record of the core in ascending order of keys. The
// bytes are visit's only until it returns. An error of visit is returned as it is.
func (s *store) each(visit func(key, value []byte) error) error {
	var stopped error
	err := s.do(func() error {
		records, err := s.db.NewIter(&pebble.IterOptions{LowerBound: coreFrom, UpperBound: coreTo})
		if err != nil {
			return err
		}
		for ok := records.First(); ok && stopped == nil; ok = records.Next() {
			value, err := records.ValueAndErr()
			if err != nil {
				return errors.Join(err, records.Close())
			}
			stopped = visit(records.Key()[len(coreFrom):], value)
		}
		return records.Close() // an error of the iteration comes here again
	})
	if err != nil {
		return err
	}
	return stopped
}

// wipe removes what a create that was interrupted left.
func (s *store) wipe() error {
	return s.do(func() error { return s.db.DeleteRange(coreFrom, coreTo, pebble.Sync) })
}

func (s *store) setCreated() error {
	return s.do(func() error { return s.db.Set(createdKey, []byte(layout), pebble.Sync) })
}

func (s *store) created() (created bool, err error) {
	err = s.do(func() error {
		value, closer, err := s.db.Get(createdKey)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		defer closer.Close()
		if string(value) != layout {
			return fmt.Errorf("layout %q is of another version", value)
		}
		created = true
		return nil
	})
	return created, err
}

func (s *store) diskBytes() (size uint64) {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed {
		return 0
	}
	if err := s.do(func() error { size = s.db.Metrics().DiskSpaceUsage(); return nil }); err != nil {
		return 0
	}
	return size
}
