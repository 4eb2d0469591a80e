// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

// What this device has seen of its archive: at each destination, so that one that was put back to an older state is noticed, and the newest
// anywhere, so that one that merely lags is told from it.

const headFile = "head.json"

// memory is what was seen. The fields of seenHead are the newest of all.
type memory struct {
	Archive ID `json:"archive"`
	seenHead

	// Apart means that a destination which lagged was written to, while the newest could not be reached. Until all destinations have been one again,
	// nobody may take one for behind only because the heads that would show it are gone.
	Apart        bool     `json:"apart,omitempty"`
	Destinations []seenAt `json:"destinations,omitempty"`

	upgraded bool // from a file of a version that knew one destination
}

type seenHead struct {
	Generation uint64    `json:"generation"`
	Digest     string    `json:"digest"` // 64 hexadecimal digits
	Time       time.Time `json:"time"`
}

type seenAt struct {
	Destination string `json:"destination"`
	seenHead

	// Lacks means that the state was brought there without objects that no destination had then, or gave out. It shows in no head, so
	// it is remembered until they have been brought.
	Lacks bool `json:"lacks,omitempty"`
}

func newSeen(h archive.Head) seenHead {
	return seenHead{h.Generation, hex.EncodeToString(h.Digest[:]), h.Time}
}

func (s seenHead) head() (archive.Head, error) {
	h := archive.Head{Generation: s.Generation, Time: s.Time}
	if s.Generation == 0 {
		return archive.Head{}, nil
	}
	if digest, err := hex.DecodeString(s.Digest); err != nil || copy(h.Digest[:], digest) != len(h.Digest) {
		return archive.Head{}, fmt.Errorf("%w: %s holds no digest", ErrState, headFile)
	}
	return h, nil
}

// at returns what was seen at one destination; the zero Head if nothing was.
func (m *memory) at(destination string) (archive.Head, error) {
	for _, s := range m.Destinations {
		if s.Destination == destination {
			return s.head()
		}
	}
	return archive.Head{}, nil
}

// lacks says whether a destination was brought a state without all that this names.
func (m *memory) lacks(destination string) bool {
	return slices.ContainsFunc(m.Destinations, func(s seenAt) bool { return s.Destination == destination && s.Lacks })
}

// memory returns what was seen of the archive. A file of a version that knew one destination only is of the first one.
func (d *Device) memory(c Config) (memory, error) {
	var m memory
	if err := d.readJSON(headFile, &m); errors.Is(err, fs.ErrNotExist) {
		return memory{Archive: c.Archive}, nil
	} else if err != nil {
		return memory{}, err
	}
	if m.Archive != c.Archive {
		return memory{Archive: c.Archive}, nil
	}
	if _, err := m.head(); err != nil {
		return memory{}, fmt.Errorf("%w (%s)", err, filepath.Join(d.dir, headFile))
	}
	if len(m.Destinations) == 0 && len(c.Destinations) > 0 {
		m.Destinations, m.upgraded = []seenAt{{Destination: c.Destinations[0], seenHead: m.seenHead}}, true
	}
	return m, nil
}

// remember replaces what was seen at one of the device's destinations, and anywhere, by a newer head, or by any head if lower is set. Readers
// come here without the device's lock, so that a lock of its own keeps a
// slow one from putting an older head in place of a newer.
func (d *Device) remember(c Config, destination string, h archive.Head, lower bool) error {
	return d.updateMemory(c, func(m *memory) {
		i := slices.IndexFunc(m.Destinations, func(s seenAt) bool { return s.Destination == destination })
		if i < 0 && slices.Contains(c.Destinations, destination) {
			m.Destinations = append(m.Destinations, seenAt{Destination: destination})
			i = len(m.Destinations) - 1
		}
		if i >= 0 && (h.Generation > m.Destinations[i].Generation || lower) {
			m.Destinations[i].seenHead = newSeen(h)
		}
		if h.Generation > m.Generation || lower {
			m.seenHead = newSeen(h)
		}
	})
}

func (d *Device) setApart(c Config, apart bool) error {
	return d.updateMemory(c, func(m *memory) { m.Apart = apart })
}

func (d *Device) setLacks(c Config, destination string, lacks bool) error {
	return d.updateMemory(c, func(m *memory) {
		i := slices.IndexFunc(m.Destinations, func(s seenAt) bool { return s.Destination == destination })
		if i < 0 && lacks {
			m.Destinations = append(m.Destinations, seenAt{Destination: destination})
			i = len(m.Destinations) - 1
		}
		if i >= 0 {
			m.Destinations[i].Lacks = lacks
		}
	})
}

// updateMemory changes what was seen, durably, if change changes it.
func (d *Device) updateMemory(c Config, change func(*memory)) error {
	unlock, err := d.lockHead()
	if err != nil {
		return err
	}
	defer unlock()
	m, err := d.memory(c)
	if err != nil {
		return err
	}
	old := m
	old.Destinations = slices.Clone(m.Destinations)
	change(&m)
	if !m.upgraded && old.seenHead == m.seenHead && old.Apart == m.Apart && slices.Equal(old.Destinations, m.Destinations) {
		return nil
	}
	return d.writeJSON(headFile, m)
}

// lockHead waits for the lock of headFile.
func (d *Device) lockHead() (unlock func(), err error) { return d.waitFor("head.lock") }

// archiveOptions opens an archive at a destination as this device. A memory that cannot be read is not taken for none.
func (d *Device) archiveOptions(c Config, destination string, acceptOlder bool) (archive.Options, error) {
	m, err := d.memory(c)
	if err != nil {
		return archive.Options{}, err
	}
	seen, err := m.at(destination)
	if err != nil {
		return archive.Options{}, err
	}
	newest, err := m.head()
	return archive.Options{
		Clock:      d.o.Clock,
		Device:     c.Device,
		Seen:       seen,
		Newest:     newest,
		AllowOlder: acceptOlder,
		OnHead:     func(h archive.Head) error { return d.remember(c, destination, h, false) },
	}, err
}
