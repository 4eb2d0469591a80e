// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// Sealer implements [seal.Sealer] with a token. Make it with [Create] or [Open].
type Sealer struct {
	// turn is taken for each call, so that what was destroyed opens for none that comes after. A call that
	// nobody waits for any more keeps it until the token has answered.
	turn chan struct{}

	config  Config
	through func(cryptoki) cryptoki // what the token is spoken to through
	files   *folder.Folder
	anchor  *anchor

	owner   string // label of this sealer's own object at the token
	owns    bool   // it was made
	link    *link  // nil after a failure, until the next call
	closed  bool
	refused error // by the token, for good: a PIN is not tried twice
}

var _ seal.Sealer = (*Sealer)(nil)

// Tier implements [seal.Sealer].
func (*Sealer) Tier() seal.Tier { return seal.PKCS11 }

// NewKey implements [seal.Sealer].
func (s *Sealer) NewKey(ctx context.Context) (seal.KeyID, error) {
	return call(ctx, s, nil, func(l *link) (seal.KeyID, error) {
		var random [16]byte
		rand.Read(random[:])
		id := seal.NewKeyID(random)
		if err := l.generate(string(id)); err != nil {
			return "", err
		}
		return id, nil
	})
}

// Seal implements [seal.Sealer].
func (s *Sealer) Seal(ctx context.Context, id seal.KeyID, secret, aad []byte) ([]byte, error) {
	if err := seal.CheckSize(secret, aad); err != nil {
		return nil, err
	}
	// The token may read it after the caller was told that it is late.
	secret, bound := bytes.Clone(secret), bind(string(id), aad)
	return call(ctx, s, secret, func(l *link) ([]byte, error) {
		key, err := l.key(id)
		if err != nil {
			return nil, err
		}
		return l.encrypt(key, secret, bound)
	})
}

// Open implements [seal.Sealer].
func (s *Sealer) Open(ctx context.Context, id seal.KeyID, sealed, aad []byte) ([]byte, error) {
	fits := len(sealed) > overhead && len(sealed) <= overhead+seal.MaxSecret && len(aad) <= seal.MaxAAD && sealed[0] == version
	var bound []byte
	if fits {
		sealed, bound = bytes.Clone(sealed), bind(string(id), aad)
	}
	return call(ctx, s, nil, func(l *link) ([]byte, error) {
		key, err := l.key(id)
		switch {
		case err != nil:
			return nil, err
		case !fits:
			return nil, seal.ErrTampered
		}
		return l.decrypt(key, sealed, bound)
	})
}

// Destroy implements [seal.Sealer].
func (s *Sealer) Destroy(ctx context.Context, id seal.KeyID) error {
	_, err := call(ctx, s, nil, func(l *link) (none struct{}, err error) {
		if _, err := seal.ParseKeyID(string(id)); err != nil {
			return none, nil // there never was such a key
		}
		return none, l.destroy(string(id))
	})
	return err
}

// Keys implements [seal.Sealer].
func (s *Sealer) Keys(ctx context.Context) ([]seal.KeyID, error) {
	return call(ctx, s, nil, func(l *link) (ids []seal.KeyID, err error) {
		labels, err := l.labels()
		if err == nil {
			err = l.vouch() // for the keys that are not there
		}
		if err != nil {
			return nil, err
		}
		for _, label := range labels {
			if id, parsing := seal.ParseKeyID(label); parsing == nil {
				ids = append(ids, id)
			}
		}
		return ids, nil
	})
}

// Close implements [seal.Sealer]. If the token does not answer to a call that runs, it gives up after the timeout, and the
// keys stay locked to this process.
func (s *Sealer) Close() error {
	ctx, cancel := s.config.patience(context.Background())
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.closed {
		return nil
	}
	s.closed = true
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
	return s.files.Close()
}

// patience bounds how long a caller waits.
func (c *Config) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w: %w in %v", ErrUnavailable, errSilent, timeout))
}

var errSilent = errors.New("nothing came")

// call does one thing at the token, in a session.
func call[T any](ctx context.Context, s *Sealer, input []byte, do func(*link) (T, error)) (T, error) {
	return await(ctx, s, input, func() (T, error) { return use(s, do) })
}

// await stops waiting for the token when ctx ends or the token is late. Nobody can stop the token itself: it goes on, one
// call at a time, and what it answers then is wiped. So is the input, when it is of no more use.
func await[T any](ctx context.Context, s *Sealer, input []byte, do func() (T, error)) (none T, err error) {
	if err := ctx.Err(); err != nil {
		clear(input)
		return none, err
	}
	ctx, cancel := s.config.patience(ctx)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		clear(input)
		return none, context.Cause(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer)
	go func() {
		defer func() { <-s.turn }()
		value, err := do()
		clear(input)
		select {
		case answers <- answer{value, err}:
		case <-ctx.Done():
			if secret, ok := any(value).([]byte); ok {
				clear(secret)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// use works in the session that there is. If that fails, the session may be what failed: it ends, and a new one has another try.
func use[T any](s *Sealer, do func(*link) (T, error)) (value T, err error) {
	for fresh := false; !fresh; {
		switch {
		case s.closed:
			return value, seal.ErrClosed
		case s.refused != nil:
			return value, s.refused
		case s.link == nil:
			if err := s.connect(); err != nil {
				return value, err
			}
			fresh = true
		}
		value, err = do(s.link)
		if err == nil || answered(err) {
			return value, err
		}
		s.link.close()
		s.link = nil
	}
	return value, err
}

// answered means that the token works, and this is its answer.
func answered(err error) bool {
	return errors.Is(err, seal.ErrNoKey) && !errors.Is(err, ErrCleared) || errors.Is(err, seal.ErrTampered) || errors.Is(err, ErrOvertaken)
}

// connect makes the session that the next calls use.
func (s *Sealer) connect() error {
	l, err := s.dial(s.anchor)
	if err != nil {
		return err
	}
	return s.adopt(l)
}

// adopt takes over in the first session, and in later ones looks whether somebody else did.
func (s *Sealer) adopt(l *link) (err error) {
	if s.owns {
		err = l.vouch()
	} else {
		err = l.takeOver()
	}
	if err == nil {
		err = l.prove()
	}
	if err != nil {
		l.close()
		return err
	}
	s.owns, s.link = true, l
	return nil
}
