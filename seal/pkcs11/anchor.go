// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/coffer-backup/coffer/seal"
)

// What the folder may hold beside the lock.
const (
	anchorName = "anchor"
	anchorNew  = "anchor.new" // of a Create or Remove that has not ended
)

// An anchor names the token and our objects in it. Nothing in it is secret.
type anchor struct {
	Version int
	Name    []byte // random, the CKA_ID of all objects of this folder: other nodes and programs may use the same token
	Serial  string // of the token
}

const (
	nameSize  = 16
	maxAnchor = 1 << 10 // bytes of its file
)

// readAnchor returns nil if there is none.
func (s *Sealer) readAnchor(name string) (*anchor, error) {
	text, err := s.files.Read(name, maxAnchor)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return parseAnchor(text)
}

func parseAnchor(text []byte) (*anchor, error) {
	a := new(anchor)
	err := json.Unmarshal(text, a)
	if err == nil && (a.Version != version || len(a.Name) != nameSize) {
		err = errors.New("no anchor of this version")
	}
	if err != nil {
		return nil, fmt.Errorf("the anchor is damaged: %w (%w)", seal.ErrTampered, err)
	}
	return a, nil
}

func (s *Sealer) writeAnchor(a *anchor) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := s.files.Write(anchorNew, text); err != nil {
		return err
	}
	return s.files.Sync()
}

func (s *Sealer) rename(from, to string) error {
	if err := s.files.Rename(from, to); err != nil {
		return err
	}
	return s.files.Sync()
}

// remember keeps a refused PIN from being tried again: by this sealer, and by the next one, which a service manager
// may start a second from now, and again and again until the token locks itself.
func (s *Sealer) remember(err error) error {
	if !errors.Is(err, ErrPIN) {
		return err
	}
	if writing := s.files.Write(RefusedName, nil); writing != nil && !errors.Is(writing, fs.ErrExist) {
		err = errors.Join(err, writing)
	}
	s.refused = s.again(err)
	return errors.Join(s.refused, s.files.Sync())
}

// wasRefused says whether a PIN was refused before, and nobody has seen to it.
func (s *Sealer) wasRefused() error {
	names, err := s.files.Names()
	if err == nil && slices.Contains(names, RefusedName) {
		err = s.again(ErrPIN)
	}
	return err
}

func (s *Sealer) again(err error) error {
	return fmt.Errorf("%w; correct the PIN, then remove the file %s", err, filepath.Join(s.config.Folder, RefusedName))
}
