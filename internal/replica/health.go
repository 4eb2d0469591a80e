// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// health remembers the store's first failure, and counts what reached the disk. It is Pebble's logger as well, because
// Pebble reports a failed fsync of its log there, by Fatalf, and counts on the
// process to end; if Fatalf returned, the commit would look like a success.
type health struct {
	dir    string
	logger *slog.Logger

	once   sync.Once
	ended  chan struct{} // closed by the first failure
	reason error         // set before ended is closed

	syncs, written atomic.Uint64 // of files; bytes
}

func newHealth(dir string, logger *slog.Logger) *health {
	return &health{dir: dir, logger: logger, ended: make(chan struct{})}
}

func (h *health) fail(err error) {
	h.once.Do(func() {
		h.reason = fmt.Errorf("%w: %s: the core was stopped, and nothing was acknowledged that is not on the disk. "+
			"Make room or replace the disk, then start again: %w", ErrStore, h.dir, err)
		h.logger.Error("store failed", "dir", h.dir, "error", err)
		close(h.ended)
	})
}

func (h *health) failed() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// do runs what uses the database, and makes its error the end of the store. It
// returns on a failure anywhere in the store, without waiting for use, which Pebble
// may never let return.
func (h *health) do(use func() error) error {
	if h.failed() {
		return h.reason
	}
	done := make(chan error, 1)
	go func() { done <- use() }()
	select {
	case err := <-done:
		if err != nil {
			h.fail(err)
		}
	case <-h.ended:
	}
	if h.failed() {
		return h.reason
	}
	return nil
}

func (h *health) listener() *pebble.EventListener {
	return &pebble.EventListener{
		// Pebble would try for ever, and stall every commit when its memory is full.
		BackgroundError: h.fail,
		DataCorruption:  func(info pebble.DataCorruptionInfo) { h.fail(fmt.Errorf("%s", info)) },
	}
}

func (h *health) Infof(format string, args ...any) {
	h.logger.Debug("store", "event", fmt.Sprintf(format, args...))
}

func (h *health) Errorf(format string, args ...any) {
	h.logger.Error("store", "event", fmt.Sprintf(format, args...))
}

// Fatalf does not return, as Pebble demands; its caller may hold Pebble's locks, so
// nothing there may run on. The goroutine stays until the process ends.
func (h *health) Fatalf(format string, args ...any) {
	h.fail(fmt.Errorf(format, args...))
	park()
}

func park() { select {} }
