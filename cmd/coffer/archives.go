// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

type archiveCmd struct {
	List   archiveListCmd   `cmd:"" help:"List the archives at a destination; needs no key."`
	Delete archiveDeleteCmd `cmd:"" help:"Delete a whole archive, for ever."`
}

type archiveListCmd struct {
	From string `placeholder:"DEST" help:"The destination; without it, this device's."`
}

func (c *archiveListCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	texts, err := (&fromFlags{From: c.From}).destinations(d)
	if err != nil {
		return err
	}
	l, err := a.begin("archives", map[string]any{})
	if err != nil {
		return err
	}
	var failed error
	for _, text := range texts {
		from := c.From
		if len(texts) > 1 {
			from = text
		}
		if err := c.list(a, l, from, len(texts) > 1); err != nil && failed == nil {
			failed = err
		}
	}
	if l.items == 0 && failed == nil {
		a.remark("There is no archive at this destination.")
	}
	return l.end(failed)
}

func (c *archiveListCmd) list(a *app, l *listing, from string, several bool) error {
	store, found, err := a.findArchives(from)
	if err != nil && several {
		return fmt.Errorf("%s: %w", from, err)
	} else if err != nil {
		return err
	}
	if several {
		a.remark("At %s:", printable(from))
	}
	for _, f := range found {
		line := fmt.Sprintf("%s  %s  %8s  %s", f.ID, clock(f.Modified), byteSize(f.SizeBytes), count(f.Objects, "object"))
		item := map[string]any{"destination": store.String(), "id": f.ID, "modified": f.Modified, "bytes": f.SizeBytes, "objects": f.Objects}
		if f.Modified.IsZero() {
			line = fmt.Sprintf("%s  %-19s  %8s  %s", f.ID, "nothing backed up", byteSize(f.SizeBytes), count(f.Objects, "object"))
			item["modified"] = nil
		}
		if err := l.add(line, item); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) findArchives(from string) (blob.Store, []archive.Found, error) {
	d, err := a.device()
	if err != nil {
		return nil, nil, err
	}
	text, err := (&fromFlags{From: from}).destination(d)
	if err != nil {
		return nil, nil, err
	}
	a.from = from
	store, err := a.openDestination(text)
	if err != nil {
		return nil, nil, err
	}
	found, err := archive.Find(a.ctx, store)
	return store, found, err
}

type archiveDeleteCmd struct {
	From    string `placeholder:"DEST" help:"Destination of the archive; without it, this device's own is deleted, and its set-up."`
	Archive string `placeholder:"ID" help:"Which archive, if there are several."`
}

func (archiveDeleteCmd) Help() string {
	return "Needs no key: whoever can write to a destination can delete what is there. This device's own archive takes the device's set-up and its copy of the key with it."
}

func (c *archiveDeleteCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	config, configErr := d.Config()
	id, err := parseArchiveID(c.Archive)
	if err != nil {
		return err
	}
	if c.From == "" && id.IsZero() {
		if configErr != nil {
			return configErr
		}
		id = config.Archive
	}
	store, found, err := a.findArchives(c.From)
	if err != nil {
		return err
	}
	target, err := pick(found, id)
	if err != nil {
		return err
	}
	stores := []blob.Store{store}
	own := configErr == nil && config.Archive == target.ID && (c.From == "" || len(config.Destinations) == 1 && sameDestination(c.From, config.Destinations[0]))
	warning := fmt.Sprintf("This deletes the archive %s at %s for ever: %s.", target.ID, printable(store.String()), byteSize(target.SizeBytes))
	if own && len(config.Destinations) > 1 {
		if stores, err = a.openAll(config.Destinations); err != nil {
			return fmt.Errorf("nothing was deleted, because not all destinations can be reached; coffer destination remove takes one out: %w", err)
		}
		warning = fmt.Sprintf("This deletes the archive %s at %s for ever: %s at each.", target.ID, allOf(config.Destinations), byteSize(target.SizeBytes))
	}
	remove := func() error {
		for _, store := range stores {
			if err := deleteAt(a, store, target.ID); err != nil {
				return err
			}
		}
		return nil
	}
	if own {
		warning += "\nThis device then forgets its set-up and its copy of the key. Copies of the archive elsewhere open only with the key that you wrote down."
	}
	if err := a.confirm(warning, target.ID.String()); err != nil {
		return err
	}
	if own {
		if err := d.Exclusive("archive delete", remove); err != nil {
			return err
		}
		a.forgetAtVault(d)
		_, err = a.removeSchedule(d.Dir())
		err = errors.Join(err, d.Disable())
	} else {
		if text, is := ownCopy(config, c.From, target.ID); is { // before, so that no backup misses what is gone
			if err := d.RemoveDestination(text); err != nil {
				return err
			}
		}
		err = remove()
	}
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"deleted": target.ID, "disabled": own})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Deleted archive %s.\n", target.ID)
	}
	return nil
}

func deleteAt(a *app, store blob.Store, id coffer.ID) error {
	if err := archive.Delete(a.ctx, store, id); err != nil {
		return err
	}
	if folder, ok := store.(interface{ Tidy(name string) }); ok {
		folder.Tidy(id.String())
	}
	return nil
}

func (a *app) openAll(texts []string) (stores []blob.Store, err error) {
	for _, text := range texts {
		store, err := a.openDestination(text)
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	return stores, nil
}

// ownCopy says which of several destinations of this device's archive a text names.
func ownCopy(config coffer.Config, text string, id coffer.ID) (own string, is bool) {
	if config.Archive != id || len(config.Destinations) < 2 {
		return "", false
	}
	i := slices.IndexFunc(config.Destinations, func(one string) bool { return sameDestination(text, one) })
	if i < 0 {
		return "", false
	}
	return config.Destinations[i], true
}

// forgetAtVault deletes the key of an archive that is gone. A vault that does not answer keeps a key that opens nothing.
func (a *app) forgetAtVault(d *coffer.Device) {
	if login, err := d.LoggedIn(); err != nil || !login.HasPassword {
		return
	}
	if _, err := d.RemovePassword(a.ctx, false); err != nil {
		a.warn("the vault still has the key of the deleted archive (%v); to delete it: coffer disable --override", err)
	}
}

// pick chooses among the archives at a destination; a zero id chooses the only one.
func pick(found []archive.Found, id coffer.ID) (archive.Found, error) {
	if id.IsZero() && len(found) > 1 {
		return archive.Found{}, usagef("there are %d archives; say which with --archive (coffer archive list shows them)", len(found))
	}
	i := slices.IndexFunc(found, func(f archive.Found) bool { return id.IsZero() || f.ID == id })
	if i < 0 {
		return archive.Found{}, archive.ErrNoArchive
	}
	return found[i], nil
}

// inside reports whether path is a folder or lies in it.
func inside(path, folder string) bool {
	rel, err := filepath.Rel(realPath(folder), realPath(path))
	return err == nil && filepath.IsLocal(rel)
}

// realPath is absolute and follows symbolic links, as far as there are files.
func realPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(realPath(parent), filepath.Base(path))
	}
	return path
}
