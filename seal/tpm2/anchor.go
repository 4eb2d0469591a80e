// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// What the folder holds beside the lock.
const (
	anchorName = "anchor"      // which TPM, and which index in it
	nextAnchor = "anchor.next" // being made: its index may be there or not, and nothing rests on it
	tableName  = "table"       // the keys, sealed under what the index holds
	nextTable  = "table.next"  // the keys, sealed under what the index may hold next
	halfEnding = ".half"       // a file that is being written
)

const (
	anchorVersion = 1
	maxAnchor     = 4096 // bytes of its file
	nameSize      = 2 + sha256.Size
	pcrCount      = 24
)

// Index is the handle of an NV index. Its text is a hexadecimal number, as the tpm2-tools take it.
type Index uint32

func (i Index) String() string { return fmt.Sprintf("0x%08x", uint32(i)) }

// MarshalText writes what UnmarshalText reads.
func (i Index) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText takes no handle of anything else.
func (i *Index) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 0, 32)
	if *i = Index(n); err == nil && *i&^indexMask != firstIndex {
		err = errors.New("not the handle of an owner's NV index")
	}
	return err
}

// anchor says where in the hardware the keys hang. It opens nothing by itself, and one that was altered leads to no
// table that opens. Of its secrets, Random is worth as much as the folder's privacy.
type anchor struct {
	Version  int
	TPM      []byte // name of the endorsement key
	Index    Index
	Random   []byte // one half of the index's auth value, never seen on the bus in the clear
	AsksAuth bool   // the other half is the operator's
	PCRs     []uint // in order
	Policy   []byte // digest of what must hold to use the index

	// Replaces is what Rebind came from, until its index is gone.
	Replaces *anchor `json:",omitempty"`
}

func newAnchor(tpm []byte, asksAuth bool, pcrs []uint) *anchor {
	a := &anchor{
		Version: anchorVersion, TPM: tpm, Index: randomIndex(), Random: make([]byte, 32), AsksAuth: asksAuth, PCRs: pcrs,
	}
	rand.Read(a.Random)
	return a
}

// auth is the auth value of the index: 192 bits as text of 32 bytes, which is what a TPM takes at most. Text, because TPMs
// take zeros off the end of it, and go-tpm 0.9.8 cuts it at any zero (github.com/google/go-tpm/pull/446).
func (a *anchor) auth(operators []byte) []byte {
	h := hmac.New(sha256.New, a.Random)
	h.Write([]byte(domain + "/auth"))
	h.Write(operators)
	return base64.StdEncoding.AppendEncode(nil, h.Sum(nil)[:24])
}

func (a *anchor) check() error {
	for b := a; b != nil; b = b.Replaces {
		switch {
		case b.Version != anchorVersion:
			return fmt.Errorf("version %d of the anchor, and this program knows %d", b.Version, anchorVersion)
		case len(b.TPM) != nameSize || len(b.Random) != 32 || len(b.Policy) != sha256.Size || b.Index == 0:
			return fmt.Errorf("%w: a damaged anchor", ErrSetBack)
		}
		if err := checkPCRs(b.PCRs); err != nil {
			return err
		}
	}
	return nil
}

func checkPCRs(pcrs []uint) error {
	for i, pcr := range pcrs {
		if pcr >= pcrCount || i > 0 && pcrs[i-1] >= pcr {
			return fmt.Errorf("%w: PCRs %v: each is at most %d, once, in ascending order", ErrBinding, pcrs, pcrCount-1)
		}
	}
	return nil
}

// files is what is needed of a folder. Tests kill the process at each step.
type files interface {
	Read(name string, limit int) ([]byte, error)
	Write(name string, data []byte) error
	Rename(from, to string) error
	Remove(name string) error
	Sync() error
	Close() error
}

var _ files = (*folder.Folder)(nil)

// replace makes a file durable, whole, in the place of what has its name. A crash leaves the one or the other.
func replace(f files, name string, data []byte) error {
	if err := f.Remove(name + halfEnding); err != nil {
		return err
	}
	if err := f.Write(name+halfEnding, data); err != nil {
		return err
	}
	return rename(f, name+halfEnding, name)
}

func rename(f files, from, to string) error {
	if err := f.Rename(from, to); err != nil {
		return err
	}
	return f.Sync()
}

func writeAnchor(f files, name string, a *anchor) error {
	data, err := json.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	return replace(f, name, append(data, '\n'))
}

// readAnchor returns nil when there is none.
func readAnchor(f files, name string) (*anchor, error) {
	data, err := f.Read(name, maxAnchor+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a := new(anchor)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if len(data) > maxAnchor || d.Decode(a) != nil || !ended(d) {
		return nil, fmt.Errorf("%w: a damaged %s", ErrSetBack, name)
	}
	return a, a.check()
}

func ended(d *json.Decoder) bool {
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// binds checks that the keys are bound as the configuration asks, so that nobody believes in a binding that is not there.
func (a *anchor) binds(config Config) error {
	if !slices.Equal(a.PCRs, config.PCRs) {
		return fmt.Errorf("%w: to PCRs %v, configured %v; rebind changes it", ErrBinding, a.PCRs, config.PCRs)
	}
	if asks := config.Auth != nil; a.AsksAuth != asks {
		return fmt.Errorf("%w: made with an auth value of the operator's: %t, configured with one: %t", ErrBinding, a.AsksAuth, asks)
	}
	return nil
}
