// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// Usable returns nil if this binary can speak to a token, else [ErrNoCgo].
func Usable() error { return nil }

// Create puts an anchor into the token and the folder, and opens them. A folder that is there already must hold no keys.
// What a Create that was interrupted has left, in the folder and in the token, is removed.
func Create(ctx context.Context, config Config) (*Sealer, error) {
	return begin(ctx, config, direct, folder.Create, (*Sealer).create)
}

// Open opens what Create has made, and logs in.
func Open(ctx context.Context, config Config) (*Sealer, error) {
	return begin(ctx, config, direct, folder.Open, (*Sealer).open)
}

// Remove destroys all keys of a folder, its anchor in the token, and its files.
func Remove(ctx context.Context, config Config) error {
	s, err := begin(ctx, config, direct, folder.Open, (*Sealer).remove)
	if err != nil {
		return err
	}
	return s.Close()
}

func direct(p cryptoki) cryptoki { return p }

// begin enters the folder, which keeps other processes away from the token's keys, and only then goes to the token.
func begin(ctx context.Context, config Config, through func(cryptoki) cryptoki,
	enter func(string) (*folder.Folder, error), set func(*Sealer) error,
) (*Sealer, error) {
	files, err := enter(config.Folder)
	if err != nil {
		return nil, in(config, err)
	}
	s := &Sealer{turn: make(chan struct{}, 1), config: config, through: through, files: files, owner: newOwner()}
	_, err = await(ctx, s, nil, func() (none struct{}, err error) {
		if err := s.wasRefused(); err != nil {
			return none, err
		}
		return none, set(s)
	})
	if err != nil {
		return nil, in(config, errors.Join(err, s.abandon(err)))
	}
	return s, nil
}

// abandon closes what did not open. It does not wait a second time for a token that hangs.
func (s *Sealer) abandon(err error) error {
	if errors.Is(err, errSilent) {
		go s.Close()
		return nil
	}
	return s.Close()
}

func in(config Config, err error) error {
	return fmt.Errorf("sealing keys in %s: %w", config.Folder, err)
}

func (s *Sealer) open() (err error) {
	if s.anchor, err = s.readAnchor(anchorName); err != nil {
		return err
	} else if s.anchor == nil {
		return ErrUnfinished
	}
	return s.connect()
}

func (s *Sealer) create() error {
	if a, err := s.readAnchor(anchorName); err != nil {
		return err
	} else if a != nil {
		return fmt.Errorf("%w: the folder has keys", fs.ErrExist)
	}
	if err := s.settle(); err != nil {
		return err
	}
	a := &anchor{Version: version, Name: make([]byte, nameSize)}
	rand.Read(a.Name)
	l, err := s.dial(a)
	if err != nil {
		return err
	}
	a.Serial = l.serial
	if err := s.hang(l, a); err != nil {
		l.close()
		return err
	}
	s.anchor = a
	return s.adopt(l)
}

// hang writes the anchor down before it is in the token, and makes it count when it is there and works.
func (s *Sealer) hang(l *link, a *anchor) error {
	if err := s.writeAnchor(a); err != nil {
		return err
	}
	// A crash from here on leaves what settle removes.
	if err := l.generate(anchorLabel); err != nil {
		return err
	}
	if err := l.prove(); err != nil {
		return err
	}
	return s.rename(anchorNew, anchorName)
}

// remove makes of the folder what an interrupted Create leaves, and settles that.
func (s *Sealer) remove() (err error) {
	if s.anchor, err = s.readAnchor(anchorName); err != nil {
		return err
	}
	if s.anchor == nil {
		return s.settle()
	}
	// A token that shows nothing of ours may be hiding the keys, too.
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.rename(anchorName, anchorNew); err != nil {
		return err
	}
	if n, err := s.link.empty(); err != nil {
		return err
	} else if n == 0 {
		return ErrUnavailable
	}
	return s.forget()
}

// settle removes from the token and the folder what an interrupted Create or Remove has left.
func (s *Sealer) settle() error {
	a, err := s.readAnchor(anchorNew)
	if err != nil || a == nil {
		return err
	}
	l, err := s.dial(a)
	if err != nil {
		return err
	}
	defer l.close()
	if _, err := l.empty(); err != nil {
		return err
	}
	return s.forget()
}

// forget removes the last trace of an anchor.
func (s *Sealer) forget() error {
	if err := s.files.Remove(anchorNew); err != nil {
		return err
	}
	return s.files.Sync()
}
