// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

// TestDuplicates: Drive lets two files have one name. Everybody sees the oldest, once, whatever is in the others.
func TestDuplicates(t *testing.T) {
	s := start(t)
	store := open(t, s)
	put(t, store, "a/x", []byte("the object"))
	put(t, store, "a/y", []byte("y"))
	first := s.Files()[0]
	s.Add(first.ID, []byte("younger"), first.Created.Add(time.Second))

	for what, store := range map[string]blob.Store{"who put it": store, "who comes new": open(t, s)} {
		wantObject(t, store, "a/x", []byte("the object"))
		if names := list(t, store, "a/"); len(names) != 2 {
			t.Errorf("%s lists %q", what, names)
		}
		wantObject(t, store, "a/x", []byte("the object"))
		wantErr(t, "Put by "+what, store.Put(t.Context(), "a/x", []byte("again")), blob.ErrExists)
	}
	if n := len(s.Files()); n != 3 {
		t.Errorf("%d files after refused puts; want 3", n)
	}

	// An older file that turns up late is what everybody agrees on, save who knows another.
	s.Add(first.ID, []byte("older"), first.Created.Add(-time.Second))
	wantObject(t, open(t, s), "a/x", []byte("older"))

	if err := store.Delete(t.Context(), "a/x"); err != nil {
		t.Fatal(err)
	}
	if files := s.Files(); len(files) != 1 || files[0].Name != "a/y" {
		t.Errorf("after Delete: %+v", files)
	}
}

// TestNotOurs: what is in the trash, a folder, or has a name that is no object's, does not show.
func TestNotOurs(t *testing.T) {
	s := start(t)
	store := open(t, s)
	put(t, store, "a/x", []byte("x"))
	put(t, store, "a/y", []byte("y"))
	s.Trash(s.Files()[0].ID)
	fresh := open(t, s)
	if names := list(t, fresh, ""); len(names) != 1 || names[0] != "a/y" {
		t.Errorf("listed: %q", names)
	}
	_, err := fresh.ReadAt(t.Context(), "a/x", make([]byte, 1), 0)
	wantErr(t, "ReadAt of a file in the trash", err, blob.ErrNotFound)
	put(t, fresh, "a/x", []byte("another"))
	wantObject(t, fresh, "a/x", []byte("another"))
}
