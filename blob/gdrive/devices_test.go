// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

// TestLaggingIndex: Drive lists what was made, and what was deleted, late. Put hides the first from everybody; the second shows in others'
// lists for a while, but is not read, and does not win against what is put after it.
func TestLaggingIndex(t *testing.T) {
	s := start(t)
	s.Set(func(b *fakedrive.Behaviour) { b.ListDelay = 50 * time.Millisecond })
	phone, laptop := open(t, s), open(t, s)
	put(t, phone, "a/x", []byte("x"))
	if names := list(t, laptop, "a/"); len(names) != 1 {
		t.Errorf("after Put the other device lists %q", names)
	}
	wantObject(t, laptop, "a/x", []byte("x"))
	s.Set(func(b *fakedrive.Behaviour) { b.ListDelay = time.Minute }) // of what is deleted now
	if err := phone.Delete(t.Context(), "a/x"); err != nil {
		t.Fatal(err)
	}
	if names := list(t, phone, "a/"); len(names) != 0 {
		t.Errorf("who deleted lists %q", names)
	}
	_, err := laptop.ReadAt(t.Context(), "a/x", make([]byte, 1), 0)
	wantErr(t, "ReadAt of what another device deleted", err, blob.ErrNotFound)
	_, err = open(t, s).ReadAt(t.Context(), "a/x", nil, 0)
	wantErr(t, "the same by who comes new", err, blob.ErrNotFound)
}

// TestListMissesOne: one list shows an object, and the next does not, as from another of Drive's machines. Who has put it knows better.
func TestListMissesOne(t *testing.T) {
	s := start(t)
	phone, laptop := open(t, s), open(t, s)
	put(t, phone, "a/x", []byte("x"))
	put(t, phone, "a/y", []byte("y"))
	if err := laptop.Delete(t.Context(), "a/y"); err != nil {
		t.Fatal(err)
	}
	s.Set(func(b *fakedrive.Behaviour) {
		b.Before = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.FormValue("q"), "appProperties") {
				return false
			}
			io.WriteString(w, `{"files":[]}`)
			return true
		}
	})
	if names := list(t, phone, "a/"); len(names) != 1 || names[0] != "a/x" {
		t.Errorf("listed: %q", names)
	}
	if names := list(t, phone, "b/"); len(names) != 0 {
		t.Errorf("listed: %q", names)
	}
}

// TestPutAfterDelete: the list still shows the older file, which is gone.
func TestPutAfterDelete(t *testing.T) {
	s := start(t)
	s.Set(func(b *fakedrive.Behaviour) { b.ListDelay = 50 * time.Millisecond })
	phone, laptop := open(t, s), open(t, s)
	for i, data := range [][]byte{[]byte("small"), noise(1 << 20)} {
		name := fmt.Sprintf("a/x%d", i)
		put(t, phone, name, []byte("old"))
		if err := phone.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		put(t, laptop, name, data)
		wantObject(t, laptop, name, data)
		wantObject(t, open(t, s), name, data)
	}
}

// TestDevicesRace lets devices put one name at once: one wins, and all read the same.
func TestDevicesRace(t *testing.T) {
	s := start(t)
	s.Set(func(b *fakedrive.Behaviour) { b.ListDelay = 3 * time.Millisecond })
	const devices, rounds = 6, 5
	stores := make([]*gdrive.Store, devices)
	for i := range stores {
		stores[i] = open(t, s)
	}
	for round := range rounds {
		name := fmt.Sprintf("heads/%d", round)
		var winner atomic.Int64
		var wins atomic.Int64
		var group sync.WaitGroup
		for i, store := range stores {
			group.Go(func() {
				switch err := store.Put(t.Context(), name, []byte{byte(i)}); {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(i))
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if wins.Load() != 1 {
			t.Errorf("%d devices have put %s", wins.Load(), name)
		}
		for _, store := range stores {
			wantObject(t, store, name, []byte{byte(winner.Load())})
		}
	}
	if n := len(s.Files()); n != rounds {
		t.Errorf("%d files of %d objects", n, rounds)
	}
}

// TestVisibleFolder: devices that make it at once agree on one, and one that is gone is not an empty destination.
func TestVisibleFolder(t *testing.T) {
	s := start(t)
	_, err := gdrive.Open(t.Context(), config(s, "Backups/It's mine"))
	wantErr(t, "Open of a folder that is not there", err, blob.ErrUnreachable)

	s.Set(func(b *fakedrive.Behaviour) { b.ListDelay = 3 * time.Millisecond })
	var stores [4]*gdrive.Store
	var group sync.WaitGroup
	for i := range stores {
		group.Go(func() {
			var err error
			if stores[i], err = gdrive.Create(t.Context(), config(s, "Backups/It's mine")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	put(t, stores[0], "a/x", []byte("x"))
	for _, store := range stores {
		wantObject(t, store, "a/x", []byte("x"))
	}
	if got := stores[0].String(); got != "gdrive:Backups/It's mine" {
		t.Error(got)
	}
	var parent string
	for _, f := range s.Files() {
		if f.Name == "a/x" {
			parent = f.Parent
		}
	}
	s.Trash(parent)
	for _, f := range s.Files() {
		if f.Parent == parent {
			s.Trash(f.ID) // as Drive does with what is in it
		}
	}
	wantErr(t, "Put", stores[1].Put(t.Context(), "a/y", nil), blob.ErrUnreachable)
	for _, err := range stores[1].List(t.Context(), "") {
		wantErr(t, "List", err, blob.ErrUnreachable)
	}
	_, err = stores[1].ReadAt(t.Context(), "a/none", make([]byte, 1), 0)
	wantErr(t, "ReadAt", err, blob.ErrUnreachable)
}

// TestClientsApart: the hidden folder belongs to one OAuth client. Another one finds it empty, whoever the user is.
func TestClientsApart(t *testing.T) {
	s := start(t)
	put(t, open(t, s), "a/x", []byte("x"))
	s.AddClient("other", "secret")
	c := config(s, "")
	c.Tokens = oauth.NewSource(oauth.Credentials{
		Client: oauth.Client{ID: "other", Secret: "secret"}, RefreshToken: s.Grant("other", oauth.ScopeHidden),
	}, oauth.SourceOptions{Endpoints: oauth.Endpoints{Token: s.URL + "/token"}})
	store, err := gdrive.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if names := list(t, store, ""); len(names) != 0 {
		t.Errorf("another client lists %q", names)
	}
}

// TestWrongScope: a sign-in for the one place does not reach the other.
func TestWrongScope(t *testing.T) {
	s := start(t)
	c := config(s, "")
	c.Folder = "Backups"
	_, err := gdrive.Create(t.Context(), c)
	wantErr(t, "Create", err, blob.ErrDenied)
	_, err = gdrive.Open(t.Context(), gdrive.Config{})
	wantErr(t, "Open without a sign-in", err, blob.ErrDenied)
}

// TestRequests is what the README's table says.
func TestRequests(t *testing.T) {
	s := start(t)
	store := open(t, s)
	put(t, store, "a/warm", nil) // a token and ids
	for _, step := range []struct {
		what string
		want int
		do   func() error
	}{
		{"put small", 2, func() error { return store.Put(t.Context(), "a/small", noise(100)) }},
		{"put large", 4, func() error { return store.Put(t.Context(), "a/large", noise(1<<20)) }},
		{"read of what is known", 1, func() error { _, err := store.ReadAt(t.Context(), "a/large", make([]byte, 1<<20), 0); return err }},
		{"list", 1, func() error { list(t, store, "a/"); return nil }},
		{"delete", 2, func() error { return store.Delete(t.Context(), "a/small") }},
		{"open and read of what is not known", 3, func() error { // one is for the token
			_, err := open(t, s).ReadAt(t.Context(), "a/large", make([]byte, 1), 0)
			return err
		}},
		{"two reads in one folder by who knows nothing", 4, func() error {
			fresh := open(t, s)
			_, err := fresh.ReadAt(t.Context(), "a/large", make([]byte, 1), 0)
			_, err2 := fresh.ReadAt(t.Context(), "a/warm", make([]byte, 1), 0)
			if err2 == io.EOF {
				err2 = nil // it is empty
			}
			return errors.Join(err, err2)
		}},
	} {
		before := total(s)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := total(s) - before; got != step.want {
			t.Errorf("%s: %d requests; want %d", step.what, got, step.want)
		}
	}
}

func total(s *fakedrive.Server) (n int) {
	for name, calls := range s.Calls() {
		if name != "upload.start" { // counted as upload.create too
			n += calls
		}
	}
	return n
}
