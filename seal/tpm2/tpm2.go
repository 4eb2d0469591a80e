// SPDX-License-Identifier: Apache-2.0

// Package tpm2 is the sealer whose keys hang on a TPM 2.0.
//
// The keys lie in a table in a folder, sealed under what one NV index of the TPM holds. To destroy a key is to write the
// table anew without it, and to extend the index, once: its content becomes SHA-256(content, random), nothing leads back,
// and the table that is sealed under the new content is the only one that opens. So
//
//   - copies of the folder open nothing without the TPM, and older copies nothing with it either;
//   - of several copies that destroy a key at the same time one at most succeeds, so a key can be used and destroyed
//     exactly once, by whoever sees Destroy return nil;
//   - it stays so for somebody who takes the TPM apart later: the old content is not in it, while a policy on a
//     counter would leave every old key behind, readable for who gets at the TPM's seeds.
//
// It trusts the TPM, its write to be whole or not at all, the operating system, and whoever can read the memory of this
// process. It does not trust the bus: what is secret is encrypted to the TPM's endorsement key. It refuses an anchor of
// another TPM, a folder that others can read or that is in use, PCRs or an auth value other than those it was made with,
// and it tries a wrong auth value once.
//
// README.md says how to set it up, what it protects against, and what it wears out.
package tpm2

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"maps"
	"slices"

	"github.com/coffer-backup/coffer/seal"
)

// Sealer implements [seal.Sealer] with a TPM. Make it with [Create] or [Open].
type Sealer struct {
	// turn is taken for each call: a TPM does one thing at a time, and so what was destroyed opens for none that comes after.
	turn chan struct{}

	files  files
	dial   opener
	anchor *anchor
	auth   []byte // of the index

	closed  bool
	refused error // by the TPM, for good: an auth value is not tried twice
}

var _ seal.Sealer = (*Sealer)(nil)

// Tier implements [seal.Sealer].
func (*Sealer) Tier() seal.Tier { return seal.TPM2 }

// NewKey implements [seal.Sealer]. It writes nothing to the TPM.
func (s *Sealer) NewKey(ctx context.Context) (id seal.KeyID, err error) {
	err = s.with(ctx, func(k *keys) error {
		if len(k.table) >= maxKeys {
			return ErrTooManyKeys
		}
		var random [idSize]byte
		rand.Read(random[:])
		made, key := seal.NewKeyID(random), new([keySize]byte)
		rand.Read(key[:])
		k.table[made] = key
		// A crash before the end of this line keeps the old table or the new one.
		if err := writeTable(s.files, tableName, k.table, k.value); err != nil {
			return err
		}
		id = made
		return nil
	})
	return id, err
}

// Seal implements [seal.Sealer].
func (s *Sealer) Seal(ctx context.Context, id seal.KeyID, secret, aad []byte) (sealed []byte, err error) {
	if err := seal.CheckSize(secret, aad); err != nil {
		return nil, err
	}
	err = s.with(ctx, func(k *keys) error {
		aead, err := k.cipher(id)
		if err == nil {
			sealed = aead.Seal([]byte{version}, nil, secret, bind(id, aad))
		}
		return err
	})
	return sealed, err
}

// Open implements [seal.Sealer].
func (s *Sealer) Open(ctx context.Context, id seal.KeyID, sealed, aad []byte) (secret []byte, err error) {
	err = s.with(ctx, func(k *keys) error {
		aead, err := k.cipher(id)
		if err != nil {
			return err
		}
		if len(sealed) == 0 || len(sealed) > seal.MaxSealed || len(aad) > seal.MaxAAD || sealed[0] != version {
			return seal.ErrTampered
		}
		if secret, err = aead.Open(nil, nil, sealed[1:], bind(id, aad)); err != nil {
			secret, err = nil, seal.ErrTampered
		}
		return err
	})
	return secret, err
}

// Destroy implements [seal.Sealer]. It writes to the TPM once.
func (s *Sealer) Destroy(ctx context.Context, id seal.KeyID) error {
	return s.with(ctx, func(k *keys) error {
		if _, ok := k.table[id]; !ok {
			return nil
		}
		clear(k.table[id][:])
		delete(k.table, id)
		return s.turnOver(k)
	})
}

// turnOver makes k's table the only one that opens.
func (s *Sealer) turnOver(k *keys) error {
	var with [valueSize]byte
	rand.Read(with[:])
	defer clear(with[:])
	next := extended(k.value, with)
	defer clear(next[:])
	if err := writeTable(s.files, nextTable, k.table, next); err != nil {
		return err
	}
	// A crash before the TPM has done it leaves a next table that nothing opens. A crash after it leaves a table that nothing
	// opens, and the next one counts.
	if err := k.chip.extend(s.anchor, s.auth, true, with, next); err != nil {
		return err
	}
	return rename(s.files, nextTable, tableName)
}

// Keys implements [seal.Sealer].
func (s *Sealer) Keys(ctx context.Context) (ids []seal.KeyID, err error) {
	err = s.with(ctx, func(k *keys) error {
		ids = slices.Collect(maps.Keys(k.table))
		return nil
	})
	return ids, err
}

// Close implements [seal.Sealer].
func (s *Sealer) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.closed {
		return nil
	}
	s.closed = true
	clear(s.auth)
	return s.files.Close()
}

// keys is what a call has in hand.
type keys struct {
	chip  *chip
	value [valueSize]byte // of the index
	table table
}

// with reads the index and the table each time: so the TPM alone decides which keys there are, and nothing in memory outlives it.
func (s *Sealer) with(ctx context.Context, do func(*keys) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case s.closed:
		return seal.ErrClosed
	case s.refused != nil:
		return s.refused
	}
	err := s.call(ctx, do)
	if errors.Is(err, ErrAuth) {
		s.refused = err
	}
	return err
}

func (s *Sealer) call(ctx context.Context, do func(*keys) error) error {
	c, err := connect(ctx, s.dial)
	if err != nil {
		return err
	}
	defer c.close()
	if string(c.name) != string(s.anchor.TPM) {
		return ErrOtherTPM
	}
	k := &keys{chip: c}
	if k.value, err = c.read(s.anchor, s.auth); err != nil {
		return err
	}
	defer clear(k.value[:])
	if k.table, err = findTable(s.files, k.value); err != nil {
		return err
	}
	defer k.table.wipe()
	return do(k)
}

func (k *keys) cipher(id seal.KeyID) (cipher.AEAD, error) {
	key, ok := k.table[id]
	if !ok {
		return nil, seal.ErrNoKey
	}
	return cipherOf(key[:], "/key")
}

// bind is what GCM authenticates beside the secret. The version and the id, of fixed lengths,
// come first, so that no two triples are alike.
func bind(id seal.KeyID, aad []byte) []byte {
	return append(append([]byte{version}, id...), aad...)
}
