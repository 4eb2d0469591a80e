// SPDX-License-Identifier: Apache-2.0

// Package software is the sealer of last resort: each key is a file.
//
// It guarantees, as package seal asks, that sealed bytes open only with their
// key, and that Destroy overwrites the key's file, flushes it, removes it and flushes
// the folder. Who reads the files with ordinary means after that finds nothing.
//
// It trusts the operating system, root, and whoever can reach the disk. So it does NOT promise
// that a key is gone for ever, and offers nothing against a node that is set back:
//
//   - A copy of the folder made earlier (backup, snapshot of a disk or machine, clone) has every key of that time.
//   - Copy-on-write and journaling file systems (btrfs, ZFS, ext4 with data=journal) write the zeros elsewhere,
//     and so does the flash of every SSD and memory card. The old blocks stay readable for some time.
//   - The memory of the process may have gone to swap, into a core dump or a hibernation image.
//
// It refuses a folder or key file that any other user can read (on Windows that is left to the
// folder's access list), a folder in use by another process, and a damaged file.
package software

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"github.com/coffer-backup/coffer/seal"
)

// domain keeps the keys in these files of no use for anything else. It is the info of HKDF.
const domain = "coffer/v1/seal/software"

// version is the first byte of sealed bytes. Behind it come 12 bytes of nonce, the ciphertext and 16 bytes of tag.
const version = 1

// Sealer implements [seal.Sealer] with a folder of key files. Make it with [Create] or [Open].
type Sealer struct {
	// mu is held to read while keys are used or made, and to write while one goes, so that nothing opens after that.
	mu     sync.RWMutex
	keys   *keyFiles
	closed bool
}

var _ seal.Sealer = (*Sealer)(nil)

// Tier implements [seal.Sealer].
func (*Sealer) Tier() seal.Tier { return seal.Software }

// NewKey implements [seal.Sealer].
func (s *Sealer) NewKey(ctx context.Context) (seal.KeyID, error) {
	unlock, err := s.use(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	var random [16]byte
	rand.Read(random[:])
	id := seal.NewKeyID(random)

	var key [keySize]byte
	defer clear(key[:])
	rand.Read(key[:])
	if err := s.keys.create(id, &key); err != nil {
		return "", err
	}
	return id, nil
}

// Seal implements [seal.Sealer].
func (s *Sealer) Seal(ctx context.Context, id seal.KeyID, secret, aad []byte) ([]byte, error) {
	if err := seal.CheckSize(secret, aad); err != nil {
		return nil, err
	}
	unlock, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	aead, err := s.cipher(id)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 1, 1+len(secret)+aead.Overhead())
	sealed[0] = version
	return aead.Seal(sealed, nil, secret, bind(id, aad)), nil
}

// Open implements [seal.Sealer].
func (s *Sealer) Open(ctx context.Context, id seal.KeyID, sealed, aad []byte) ([]byte, error) {
	unlock, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	aead, err := s.cipher(id)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed) > seal.MaxSealed || len(aad) > seal.MaxAAD || sealed[0] != version {
		return nil, seal.ErrTampered
	}
	secret, err := aead.Open(nil, nil, sealed[1:], bind(id, aad))
	if err != nil {
		return nil, seal.ErrTampered
	}
	return secret, nil
}

// Destroy implements [seal.Sealer].
func (s *Sealer) Destroy(ctx context.Context, id seal.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.keys.destroy(id)
}

// Keys implements [seal.Sealer].
func (s *Sealer) Keys(ctx context.Context) ([]seal.KeyID, error) {
	unlock, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.keys.list()
}

// Close implements [seal.Sealer].
func (s *Sealer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.keys.close()
}

// use keeps the keys from going away until unlock is called.
func (s *Sealer) use(ctx context.Context) (unlock func(), err error) {
	s.mu.RLock()
	if err := s.usable(ctx); err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return s.mu.RUnlock, nil
}

func (s *Sealer) usable(ctx context.Context) error {
	if s.closed {
		return seal.ErrClosed
	}
	return ctx.Err()
}

// cipher reads the key each time: so the file alone decides whether it exists, and no copy in memory outlives it.
//
// Nonces are random, 96 bits. One key seals a handful of secrets in its life, far below the
// 2^32 that NIST SP 800-38D section 8.3 allows.
func (s *Sealer) cipher(id seal.KeyID) (cipher.AEAD, error) {
	key, err := s.keys.read(id)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	derived, err := hkdf.Key(sha256.New, key[:], []byte(id), domain, 32)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bind is what GCM authenticates beside the secret. The version and the id, of fixed lengths,
// come first, so that no two triples are alike.
func bind(id seal.KeyID, aad []byte) []byte {
	return append(append([]byte{version}, id...), aad...)
}
