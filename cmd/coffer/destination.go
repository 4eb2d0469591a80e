// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
)

// google has other addresses than Google's in tests alone.
var google destination.Google

// opener opens destinations with the credentials that this device keeps, until the run ends.
func (a *app) opener(secrets destination.Secrets) *destination.Opener {
	o := &destination.Opener{
		Secrets: secrets, Google: google, UploadBytesPerSecond: a.uploadLimit,
		HelperSays: func(line string) { a.remark("note: coffer-rclone: %s", escaped(line)) },
	}
	a.openers = append(a.openers, o)
	return o
}

// openDestination opens what is there; it makes nothing.
func (a *app) openDestination(text string) (blob.Store, error) { return a.openPlace(text, false) }

// makeDestination opens a destination and makes what is missing.
func (a *app) makeDestination(text string) (blob.Store, error) { return a.openPlace(text, true) }

func (a *app) openPlace(text string, create bool) (blob.Store, error) {
	dir, err := coffer.DefaultStateDir()
	if err != nil {
		return nil, err
	}
	return a.opener(keystore.Existing(dir, filesOnly())).Open(a.ctx, text, create)
}

// isDestination says whether a text, as somebody types it, names the location whose one text is known.
func isDestination(text, canonical string) bool {
	one, err := destination.Canonical(text)
	return err == nil && one == canonical
}

// sameDestination says whether two texts lead to one place, symbolic links to folders included.
func sameDestination(x, y string) bool {
	one, err := destination.Parse(x)
	if err != nil {
		return false
	}
	if folder, ok := one.(destination.Folder); ok {
		other, err := destination.Parse(y)
		if err != nil {
			return false
		}
		second, ok := other.(destination.Folder)
		return ok && realPath(folder.Path) == realPath(second.Path)
	}
	return isDestination(y, one.String())
}

// sameDestinations says whether texts name all of those that are known, and no other.
func sameDestinations(texts, canonical []string) bool {
	return len(texts) == len(canonical) && !slices.ContainsFunc(canonical, func(one string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return isDestination(text, one) })
	})
}

// allOf names destinations for people.
func allOf(texts []string) string {
	shown := make([]string, len(texts))
	for i, text := range texts {
		shown[i] = printable(text)
	}
	return strings.Join(shown, " and ")
}

// isRemote says whether a destination is reached over a network, as far as its text tells.
func isRemote(text string) bool {
	l, err := destination.Parse(text)
	return err == nil && l.Kind() != destination.KindFolder
}
