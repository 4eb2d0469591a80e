// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// Handle brings one sealed request to the core and returns its sealed answer, of at
// most stream.MaxEnvelope bytes each. It keeps envelope until it returns or, when ctx
// ends first, a little longer; the caller must not write to it again.
//
// The error is ErrTooLarge, ErrBusy, ErrUnavailable or that of ctx. After the last two
// the core may still act on the request: clients repeat it, and the protocol makes
// that free of charge.
func (r *Replica) Handle(ctx context.Context, envelope []byte) ([]byte, error) {
	if len(envelope) > stream.MaxEnvelope {
		return nil, ErrTooLarge
	}
	return r.desk.ask(ctx, envelope)
}

// Ready waits until the core serves. The error is that of ctx, or ErrUnavailable when
// Run has returned.
func (r *Replica) Ready(ctx context.Context) error {
	select {
	case <-r.desk.whenOpen():
		return nil
	case <-r.ended:
		return ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Descriptor returns what clients should pin, or ErrUnavailable while no core serves.
func (r *Replica) Descriptor(context.Context) ([]byte, error) {
	descriptor := r.descriptor.Load()
	if descriptor == nil {
		return nil, ErrUnavailable
	}
	return *descriptor, nil
}

// Failure returns why Run gave up, nil if it did not. It goes to the operator only:
// it may carry the core's own words.
func (r *Replica) Failure() error {
	if failure := r.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Stats returns the last figures of the core, zeros before the first.
func (r *Replica) Stats() stream.Stats { return *r.stats.Load() }

// Disk returns how often files were synced since Open, and how many bytes were written, by Pebble's own work, too.
func (r *Replica) Disk() (syncs, written uint64) {
	return r.store.syncs.Load(), r.store.written.Load()
}

// DiskBytes returns how many bytes of the disk the store takes, 0 after it failed
// or was closed.
func (r *Replica) DiskBytes() uint64 { return r.store.diskBytes() }
