// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

// A place is one of this device's destinations, as a run finds it.
type place struct {
	text    string
	store   blob.Store       // nil if it could not be opened
	archive *archive.Archive // nil if it could not be opened there
	err     error            // why not, or what else went wrong; it takes no further part as a writer

	seen     archive.Head // at this destination, before this run
	asSeen   bool         // it shows exactly that
	progress archive.CatchUpReport
	lacked   int  // snapshots that it was brought
	led      bool // main follows its state: see lead
	wrote    bool // the snapshot was written here
	tried    bool // as the place to write to, in vain
	blamed   bool // err came while another place was to be brought to its state; which of the two failed is not known
}

func (p *place) close() {
	if p.archive != nil {
		p.archive.Close()
	}
}

func (p *place) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// failWriter takes a place out of the choice, and puts those in again that may have been blamed for it.
func (ps *places) failWriter(main *place, err error) {
	main.fail(err)
	main.tried = true
	for _, p := range ps.list {
		if p.blamed && !p.tried {
			p.err, p.blamed = nil, false
		}
	}
}

// places are all of them.
type places struct {
	d      *Device
	c      Config
	older  bool // accept an older state
	memory memory
	list   []*place
}

func isFolder(text string) bool { return filepath.IsAbs(text) }

// openPlaces opens the archive at all destinations at once. What goes wrong at one stands in its place; the error is of this device.
func (d *Device) openPlaces(ctx context.Context, c Config, acceptOlder bool) (*places, error) {
	keys, err := d.keys(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range keys {
			keys[i].Wipe()
		}
	}()
	ps := &places{d: d, c: c, older: acceptOlder}
	if ps.memory, err = d.memory(c); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, text := range c.Destinations {
		p := &place{text: text}
		ps.list = append(ps.list, p)
		if p.seen, err = ps.memory.at(text); err != nil {
			return nil, err
		}
		if len(c.Destinations) == 1 {
			p.open(ctx, d, c, keys, acceptOlder)
			break
		}
		wg.Go(func() { p.open(ctx, d, c, keys, acceptOlder) })
	}
	wg.Wait()
	return ps, nil
}

// keys are those that may open the archive: the next key first, because a change of the key may have been committed before a crash.
func (d *Device) keys(c Config) (keys []Key, err error) {
	for _, name := range []string{nextKeyName(c), keyName(c)} {
		key, err := d.o.Keys.Load(name)
		if err == nil {
			keys = append(keys, key)
		} else if !errors.Is(err, ErrNoKey) || name == keyName(c) && len(keys) == 0 {
			return nil, err
		}
	}
	return keys, nil
}

func (p *place) open(ctx context.Context, d *Device, c Config, keys []Key, acceptOlder bool) {
	if p.store, p.err = d.o.OpenDestination(ctx, p.text, false); p.err != nil {
		return
	}
	options, err := d.archiveOptions(c, p.text, acceptOlder)
	if err != nil {
		p.err = err
		return
	}
	for _, key := range keys {
		if p.archive, p.err = archive.Open(ctx, p.store, c.Archive, key, options); !errors.Is(p.err, archive.ErrWrongKey) {
			break
		}
	}
	p.asSeen = p.err == nil && p.archive.Head() == p.seen
}

// openThrough opens the archive at a place with the keyring that it has at another one: a place that lags over a change of the key, or that has
// nothing yet, has no keyring that this device's key opens.
func (p *place) openThrough(ctx context.Context, ps *places, main *place) {
	gone := errors.Is(p.err, archive.ErrNoArchive) && p.seen.Generation > 0 && !ps.older
	again := errors.Is(p.err, archive.ErrNoArchive) || errors.Is(p.err, archive.ErrWrongKey) || errors.Is(p.err, archive.ErrRolledBack) || errors.Is(p.err, archive.ErrDamaged)
	if p.store == nil || p.archive != nil || gone || !again {
		return
	}
	options, err := ps.d.archiveOptions(ps.c, p.text, ps.older)
	if err != nil {
		p.err = err
		return
	}
	a, err := main.archive.At(ctx, p.store, options)
	if err != nil {
		if errors.Is(err, archive.ErrRolledBack) {
			p.err = err
		}
		return
	}
	p.archive, p.err = a, nil
	p.asSeen = a.Head() == p.seen
}

func (ps *places) close() {
	for _, p := range ps.list {
		p.close()
	}
}

// newest returns the place with the newest state; of several, a folder of this machine, and else the first in the list. With write, only those that
// may be written to.
func (ps *places) newest(write bool) *place {
	var best *place
	for _, p := range ps.list {
		if p.archive == nil || write && (p.err != nil || p.archive.ReadOnly() != nil) {
			continue
		}
		switch {
		case best == nil, p.archive.Epoch() > best.archive.Epoch():
			best = p
		case p.archive.Epoch() < best.archive.Epoch(), p.archive.Head().Generation < best.archive.Head().Generation:
		case p.archive.Head().Generation > best.archive.Head().Generation, isFolder(p.text) && !isFolder(best.text):
			best = p
		}
	}
	return best
}

// failure is the error of places of which none can be used: the one that says most.
func (ps *places) failure() error {
	var said error
	for _, cause := range []Cause{CauseInterrupted, CauseRolledBack, CauseWrongKey, CauseDamaged, CauseVersion, CauseLocked, CauseFull, ""} {
		for _, p := range ps.list {
			if p.err == nil && p.archive != nil {
				p.err = p.archive.ReadOnly()
			}
			if p.err != nil && (cause == "" || CauseOf(p.err) == cause) {
				said = p.err
				if len(ps.list) > 1 {
					said = fmt.Errorf("%s: %w", p.text, p.err)
				}
				return said
			}
		}
	}
	return said
}
