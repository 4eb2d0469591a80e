// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/wire"
)

func unixMs(t time.Time) wire.UnixMs { return wire.UnixMs(max(t.UnixMilli(), 0)) }

// coreConfig draws a fresh seed: no two lives share any entropy.
func (config *Config) coreConfig() core.Config {
	c := core.Config{Tier: string(config.Sealer.Tier()), RotateEntries: config.RotateEntries, RotateMs: config.RotateMs}
	rand.Read(c.Seed[:])
	return c
}

// boot takes the host's first frames, and makes a core of them.
func boot(ctx context.Context, conn *stream.Conn, config Config) (c *core.Core, effects []core.Effect, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = broken(r) // what is stored breaks an invariant of raft
		}
	}()
	first, err := conn.Read()
	if err != nil {
		return nil, nil, err
	}
	switch first := first.(type) {
	case stream.Create:
		return createCore(ctx, config, first)
	case stream.Join:
		epoch, err := firstEpoch(ctx, config)
		if err != nil {
			return nil, nil, err
		}
		return core.Join(config.coreConfig(), first.Ticket, first.Host, *epoch)
	}
	return loadCore(ctx, conn, config, first)
}

func createCore(ctx context.Context, config Config, create stream.Create) (*core.Core, []core.Effect, error) {
	policy, err := wire.ParsePolicy(create.Policy)
	if err != nil {
		return nil, nil, err
	}
	epoch, err := firstEpoch(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	return core.Create(config.coreConfig(), policy, create.Host, *epoch)
}

// firstEpoch makes the first epoch key of a replica, whose sealer must be empty.
func firstEpoch(ctx context.Context, config Config) (*core.NewEpoch, error) {
	switch keys, err := config.Sealer.Keys(ctx); {
	case err != nil:
		return nil, err
	case len(keys) > 0:
		return nil, errInUse
	}
	return newEpoch(ctx, config.Sealer, core.EpochAAD(1))
}

// newEpoch makes an epoch key and has it sealed under a new key of the sealer.
func newEpoch(ctx context.Context, sealer seal.Sealer, aad []byte) (*core.NewEpoch, error) {
	id, err := sealer.NewKey(ctx)
	if err != nil {
		return nil, err
	}
	e := &core.NewEpoch{KeyID: string(id)}
	rand.Read(e.Key[:])
	e.Sealed, err = sealer.Seal(ctx, id, e.Key[:], aad)
	return e, err
}

// noKey makes a sealer's error the core's, too.
type noKey struct{ error }

func (e noKey) Unwrap() error      { return e.error }
func (noKey) Is(target error) bool { return target == core.ErrNoKey }

// errOldStore is said of a store whose keys are gone.
var errOldStore = errors.New("so this store cannot be opened any more: it is a copy from before the last snapshot or from before a later start, or the sealer is another one or was cleared; " +
	"put the newest store and its own sealer back, or have a new node join with a ticket")

func loadCore(ctx context.Context, conn *stream.Conn, config Config, f stream.Frame) (c *core.Core, effects []core.Effect, err error) {
	defer func() {
		if errors.Is(err, core.ErrNoKey) {
			err = fmt.Errorf("%w, %w", err, errOldStore)
		}
	}()
	loader := core.NewLoader(config.coreConfig(), func(keyID string, sealed, aad []byte) ([]byte, error) {
		id, err := seal.ParseKeyID(keyID)
		if err != nil {
			return nil, err
		}
		key, err := config.Sealer.Open(ctx, id, sealed, aad)
		if errors.Is(err, seal.ErrNoKey) {
			err = noKey{err}
		}
		return key, err
	})
	for {
		switch record := f.(type) {
		case stream.Load:
			err = loader.Add(core.Record{Key: record.Key, Value: record.Value})
		case stream.LoadEnd:
			c, effects, err := loader.Finish(record.Host)
			if err != nil {
				return nil, nil, err
			}
			return c, effects, destroyOthers(ctx, config.Sealer, c.KeyIDs())
		default:
			err = errProtocol
		}
		if err != nil {
			return nil, nil, err
		}
		if f, err = conn.Read(); err != nil {
			return nil, nil, err
		}
	}
}

// destroyOthers destroys the keys that the stored state does not name: of epochs that ended, or that a crash
// kept from beginning.
func destroyOthers(ctx context.Context, sealer seal.Sealer, needed []string) error {
	keys, err := sealer.Keys(ctx)
	for _, id := range keys {
		if !slices.Contains(needed, string(id)) {
			err = errors.Join(err, sealer.Destroy(ctx, id))
		}
	}
	return err
}
