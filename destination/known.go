// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/durable"
)

// Known is a destination that was added on this device. It has no secret, so that it can be listed while the keyring is locked.
type Known struct {
	Destination string    `json:"destination"`
	Kind        Kind      `json:"kind"`
	Added       time.Time `json:"added,omitzero"`
	Stored      bool      `json:"credentials"`         // this device keeps credentials
	ClientID    string    `json:"client_id,omitempty"` // of OAuth; the hidden folder of a Drive belongs to it
	LoginEnds   time.Time `json:"login_ends,omitzero"` // when the login must be renewed, if it ends by itself
}

// Book is the list of what is known, a file in the device's state directory.
type Book string

const (
	bookFile     = "destinations.json"
	bookVersion  = 1
	maxBookBytes = 1 << 20
)

type page struct {
	Version      int     `json:"version"`
	Destinations []Known `json:"destinations"`
}

// List returns what is known, in the order in which it was added.
func (dir Book) List() ([]Known, error) {
	path := filepath.Join(string(dir), bookFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBookBytes+1))
	if err != nil {
		return nil, err
	}
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", coffer.ErrState, path, err)
	}
	if p.Version != bookVersion {
		return nil, fmt.Errorf("%w: %s has version %d, this program knows %d; use the program that wrote it", coffer.ErrState, path, p.Version, bookVersion)
	}
	return p.Destinations, nil
}

// Find returns what is known of a location.
func (dir Book) Find(l Location) (known Known, ok bool, err error) {
	all, err := dir.List()
	if i := indexOf(all, l); i >= 0 {
		return all[i], true, err
	}
	return Known{}, false, err
}

// Add keeps k, in place of what was known of the same destination.
func (dir Book) Add(k Known) error {
	all, err := dir.List()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(all, func(old Known) bool { return old.Destination == k.Destination }); i >= 0 {
		all[i] = k
	} else {
		all = append(all, k)
	}
	return dir.write(all)
}

// Remove forgets a location. It says whether it was known.
func (dir Book) Remove(l Location) (bool, error) {
	all, err := dir.List()
	i := indexOf(all, l)
	if err != nil || i < 0 {
		return false, err
	}
	return true, dir.write(slices.Delete(all, i, i+1))
}

func indexOf(all []Known, l Location) int {
	return slices.IndexFunc(all, func(k Known) bool { return k.Destination == l.String() })
}

func (dir Book) write(all []Known) error {
	text, err := json.MarshalIndent(page{bookVersion, all}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return err
	}
	return durable.Replace(filepath.Join(string(dir), bookFile), append(text, '\n'))
}
