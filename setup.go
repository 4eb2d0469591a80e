// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
	"github.com/coffer-backup/coffer/blob"
)

// Setup says what to back up and where to.
type Setup struct {
	Source      string   // folder of the chat store
	Destination string   // as for OpenDestination
	Also        []string // further destinations, which get the same snapshots
	Exclude     []string // patterns as in .gitignore, relative to Source
	ExcludeFile string   // file with one such pattern a line; read at every backup
	Databases   []string // GLOB[:PAGESIZE]: databases that do not begin with the SQLite magic
	Beside      bool     // make a new archive although there is one at the destination
	AcceptOlder bool     // adopt an archive although it is older than this device has seen, or the vault knows
}

// Prepare checks that Enable can go ahead, makes the destination if it is not there, and returns
// the archives that are at it. Call it before a key is made and shown to anybody. It finishes an
// Enable that a crash interrupted, and then returns ErrEnabled.
//
// Errors: ErrEnabled, ErrBusy, ErrSource, ErrRules, ErrDestination; archive.ErrExists beside the archives found,
// unless Setup.Beside is set; those of the destination.
func (d *Device) Prepare(ctx context.Context, s Setup) ([]archive.Found, error) {
	unlock, err := d.lock("init")
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, found, err := d.prepare(ctx, &s)
	return found, err
}

func (d *Device) prepare(ctx context.Context, s *Setup) (blob.Store, []archive.Found, error) {
	if err := d.check(s); err != nil {
		return nil, nil, err
	}
	c, err := d.Config()
	switch {
	case err == nil:
		return nil, nil, fmt.Errorf("%w: %s to %s", ErrEnabled, c.Source, c.destinations())
	case !errors.Is(err, ErrNotEnabled):
		return nil, nil, err
	}
	stores, err := d.make(ctx, s.destinations())
	if err != nil {
		return nil, nil, err
	}
	if c.Pending && c.Destinations[0] == s.Destination {
		if err := d.finishEnable(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	var found []archive.Found
	for _, store := range stores {
		there, err := archive.Find(ctx, store)
		if err == nil && len(there) > 0 && !s.Beside {
			err = fmt.Errorf("%w: %s", archive.ErrExists, store)
		}
		found = append(found, there...)
		if err != nil {
			return nil, found, err
		}
	}
	return stores[0], found, nil
}

// make opens destinations, and makes what is missing.
func (d *Device) make(ctx context.Context, destinations []string) (stores []blob.Store, err error) {
	for i, text := range destinations {
		store, err := d.o.OpenDestination(ctx, text, true)
		if err == nil {
			err = namedOnce(destinations[:i], text) // now that there is what a link leads to
		}
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	return stores, nil
}

func (s *Setup) destinations() []string { return append([]string{s.Destination}, s.Also...) }

// destinations names them for people.
func (c *Config) destinations() string { return strings.Join(c.Destinations, " and ") }

// finishEnable completes an Enable that a crash interrupted. It returns ErrEnabled if the archive had been
// made; nil if it had not, and then its key is gone too.
func (d *Device) finishEnable(ctx context.Context, c Config) error {
	a, err := d.openWith(ctx, c, c.Destinations[0], keyName(c), false)
	switch {
	case errors.Is(err, ErrNoKey), errors.Is(err, archive.ErrNoArchive):
		return d.o.Keys.Delete(keyName(c))
	case err != nil:
		return err
	}
	a.Close()
	c.Pending = false
	if err := d.saveConfig(c); err != nil {
		return err
	}
	return fmt.Errorf("%w: it had been interrupted and is complete now (%s to %s)", ErrEnabled, c.Source, c.destinations())
}

// Enable makes a new archive that key opens, and sets up this device to back up into it.
// The caller shows the key to the user before; this device keeps its own copy.
//
// Errors: those of Prepare.
func (d *Device) Enable(ctx context.Context, s Setup, key Key) error {
	unlock, err := d.lock("init")
	if err != nil {
		return err
	}
	defer unlock()
	store, _, err := d.prepare(ctx, &s)
	if err != nil {
		return err
	}
	c := d.config(s)
	c.Archive, c.Pending = format.NewID(), true
	if err := d.saveConfig(c); err != nil {
		return err
	}
	// A crash here leaves a pending set-up without a key: the next Enable starts afresh.
	if err := d.o.Keys.Save(keyName(c), key); err != nil {
		return err
	}
	options, err := d.archiveOptions(c, s.Destination, false)
	if err != nil {
		return err
	}
	// From here on the archive may exist, and its key is safe: the next Prepare looks.
	a, err := archive.Create(ctx, store, c.Archive, key, options)
	if err != nil {
		return err
	}
	a.Close()
	c.Pending = false
	return d.saveConfig(c)
}

func (d *Device) config(s Setup) Config {
	return Config{
		Version:      configVersion,
		Device:       format.NewID(),
		Source:       s.Source,
		Destinations: s.destinations(),
		Exclude:      s.Exclude,
		ExcludeFile:  s.ExcludeFile,
		Databases:    s.Databases,
		Created:      d.now().UTC(),
	}
}

// checkRules finds patterns that the first backup would stumble over.
func (d *Device) checkRules(s Setup) error {
	patterns, err := d.excludes(d.config(s), nil)
	if err != nil {
		return err
	}
	if _, err := source.Open(s.Source, patterns); err != nil {
		return fmt.Errorf("%w: %w", ErrRules, err)
	}
	for _, text := range s.Databases {
		if _, err := source.ParseDatabaseGlob(text); err != nil {
			return fmt.Errorf("%w: %w", ErrRules, err)
		}
	}
	return nil
}

// check makes the paths of a set-up absolute and its destination canonical, and refuses what could not be backed up.
func (d *Device) check(s *Setup) (err error) {
	if s.Source, err = filepath.Abs(s.Source); err != nil {
		return fmt.Errorf("%w: %v", ErrSource, err)
	}
	if err := d.canonical(s); err != nil {
		return err
	}
	if s.ExcludeFile != "" {
		if s.ExcludeFile, err = filepath.Abs(s.ExcludeFile); err != nil {
			return err
		}
	}
	if err := checkSource(s.Source); err != nil {
		return err
	}
	if err := d.checkRules(*s); err != nil {
		return err
	}
	for _, own := range d.ownFolders(s.destinations()) {
		if rel, ok := below(own, s.Source); ok && rel == "." {
			return fmt.Errorf("%w: %s is Coffer's own folder", ErrSource, s.Source)
		}
	}
	return nil
}

// canonical makes the texts of a set-up's destinations canonical.
func (d *Device) canonical(s *Setup) (err error) {
	if s.Destination, err = d.o.CanonicalDestination(s.Destination); err != nil {
		return err
	}
	also := make([]string, len(s.Also))
	for i, text := range s.Also {
		if also[i], err = d.o.CanonicalDestination(text); err != nil {
			return err
		}
		if err := namedOnce(append([]string{s.Destination}, also[:i]...), also[i]); err != nil {
			return err
		}
	}
	s.Also = also
	return nil
}

func namedOnce(before []string, text string) error {
	if slices.ContainsFunc(before, func(other string) bool { return samePlace(other, text) }) {
		return fmt.Errorf("%w: %s is named twice", ErrDestination, text)
	}
	return nil
}

// samePlace reports whether two texts lead to one place, as far as can be told: of two folders also if a link leads to one. What is counted as two copies and is one
// would be lost at once.
func samePlace(x, y string) bool {
	if x == y || !isFolder(x) || !isFolder(y) {
		return x == y
	}
	if resolve(x) == resolve(y) {
		return true
	}
	one, err := os.Stat(x)
	other, err2 := os.Stat(y)
	return err == nil && err2 == nil && os.SameFile(one, other)
}
