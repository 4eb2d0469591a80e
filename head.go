// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

// The newest head that this device has seen, so that a destination that was put
// back to an older state is noticed.

const headFile = "head.json"

type seenHead struct {
	Archive    ID        `json:"archive"`
	Generation uint64    `json:"generation"`
	Digest     string    `json:"digest"` // 64 hexadecimal digits
	Time       time.Time `json:"time"`
}

// seen returns the newest head seen of an archive; the zero Head if none was.
func (d *Device) seen(id ID) (archive.Head, error) {
	var s seenHead
	if err := d.readJSON(headFile, &s); errors.Is(err, fs.ErrNotExist) {
		return archive.Head{}, nil
	} else if err != nil {
		return archive.Head{}, err
	}
	if s.Archive != id {
		return archive.Head{}, nil
	}
	h := archive.Head{Generation: s.Generation, Time: s.Time}
	if digest, err := hex.DecodeString(s.Digest); err != nil || copy(h.Digest[:], digest) != len(h.Digest) {
		return archive.Head{}, fmt.Errorf("%w: %s holds no digest", ErrState, filepath.Join(d.dir, headFile))
	}
	return h, nil
}

// remember replaces what was seen by a newer head, or by any head if lower is set. Readers
// come here without the device's lock, so that a lock of its own keeps a
// slow one from putting an older head in place of a newer.
func (d *Device) remember(id ID, h archive.Head, lower bool) error {
	unlock, err := d.lockHead()
	if err != nil {
		return err
	}
	defer unlock()
	old, err := d.seen(id)
	if err != nil {
		return err
	}
	if h.Generation <= old.Generation && !lower {
		return nil
	}
	return d.writeJSON(headFile, seenHead{id, h.Generation, hex.EncodeToString(h.Digest[:]), h.Time})
}

// lockHead waits for the lock of headFile.
func (d *Device) lockHead() (unlock func(), err error) { return d.waitFor("head.lock") }

// archiveOptions opens an archive as this device. A memory that cannot be read is not taken for none.
func (d *Device) archiveOptions(c Config, acceptOlder bool) (archive.Options, error) {
	seen, err := d.seen(c.Archive)
	return archive.Options{
		Clock:      d.o.Clock,
		Device:     c.Device,
		Seen:       seen,
		AllowOlder: acceptOlder,
		OnHead:     func(h archive.Head) error { return d.remember(c.Archive, h, false) },
	}, err
}
