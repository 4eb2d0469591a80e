// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/coffer-backup/coffer/internal/core"
)

// disk stores what a core hands out, a little later: until then it waits in a queue, and a crash loses the end of that.
// A Persist is atomic, so one that is torn is one that is lost.
type disk struct {
	stored map[string][]byte
	queue  []queued
}

type queued struct {
	persist core.Persist
	told    bool // the host has said Durable
}

func newDisk() *disk { return &disk{stored: map[string][]byte{}} }

// image is a copy of what is stored.
func (d *disk) image() map[string][]byte { return maps.Clone(d.stored) }

// store does the first n of the queue.
func (d *disk) store(n int) {
	for _, q := range d.queue[:n] {
		for _, r := range q.persist.Deletes {
			maps.DeleteFunc(d.stored, func(k string, _ []byte) bool { return k >= string(r.From) && k < string(r.To) })
		}
		for _, r := range q.persist.Puts {
			d.stored[string(r.Key)] = bytes.Clone(r.Value)
		}
	}
	d.queue = d.queue[n:]
}

// records are what is stored, in the order of their keys.
func (d *disk) records() (list []core.Record) {
	for _, k := range slices.Sorted(maps.Keys(d.stored)) {
		list = append(list, core.Record{Key: []byte(k), Value: bytes.Clone(d.stored[k])})
	}
	return list
}

// sealer is a software sealer: it keeps keys by their id and destroys them when it is told to. All cores that a host starts from copies of one
// machine's disk share it.
type sealer struct {
	name string
	made int
	keys map[string][]byte
}

func newSealer(name string) *sealer { return &sealer{name: name, keys: map[string][]byte{}} }

// newEpoch makes an epoch key. Its bytes follow from its name: the sealed state of a simulated core need not be secret, only distinct.
func (s *sealer) newEpoch() core.NewEpoch {
	s.made++
	e := core.NewEpoch{KeyID: fmt.Sprint(s.name, "/", s.made), Sealed: []byte("sealed")}
	copy(e.Key[:], e.KeyID)
	s.keys[e.KeyID] = e.Key[:]
	return e
}

func (s *sealer) unseal(keyID string, _, _ []byte) ([]byte, error) {
	key, ok := s.keys[keyID]
	if !ok {
		return nil, core.ErrNoKey
	}
	return bytes.Clone(key), nil
}

// keep destroys all keys but these.
func (s *sealer) keep(ids []string) {
	maps.DeleteFunc(s.keys, func(id string, _ []byte) bool { return !slices.Contains(ids, id) })
}
