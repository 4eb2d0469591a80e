// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

func start(t *testing.T) *fakedrive.Server {
	t.Helper()
	s, err := fakedrive.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// config is for a user who has just signed in.
func config(s *fakedrive.Server, folder string) gdrive.Config {
	credentials := oauth.Credentials{
		Client:       oauth.Client{ID: fakedrive.ClientID, Secret: fakedrive.ClientSecret},
		Scope:        gdrive.Scope(folder),
		RefreshToken: s.Grant(fakedrive.ClientID, gdrive.Scope(folder)),
	}
	return gdrive.Config{
		Folder:   folder,
		Endpoint: s.Endpoint(),
		Tokens:   oauth.NewSource(credentials, oauth.SourceOptions{Endpoints: oauth.Endpoints{Token: s.URL + "/token"}}),
	}
}

func open(t *testing.T, s *fakedrive.Server) *gdrive.Store {
	t.Helper()
	store, err := gdrive.Open(t.Context(), config(s, ""))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func put(t *testing.T, store blob.Store, name string, data []byte) {
	t.Helper()
	if err := store.Put(t.Context(), name, data); err != nil {
		t.Fatalf("Put(%s): %v", name, err)
	}
}

func wantObject(t *testing.T, store blob.Store, name string, want []byte) {
	t.Helper()
	got, err := blobtest.Read(t.Context(), store, name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; want the %d that were put", name, len(got), err, len(want))
	}
}

func list(t *testing.T, store blob.Store, prefix string) (names []string) {
	t.Helper()
	for info, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		names = append(names, info.Name)
	}
	return names
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := open(t, s)
	blobtest.Run(t, func(*testing.T) blob.Store { return store })
	t.Log("requests:", s.Calls())
}

// TestConformanceElsewhere has a visible folder, an index that lags, a page size that makes many pages, and a server that is asked too much.
func TestConformanceElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("the same suite again")
	}
	t.Parallel()
	s := start(t)
	s.Set(func(b *fakedrive.Behaviour) {
		b.ListDelay, b.PageSize, b.LimitEvery = 2*time.Millisecond, 300, 2500
	})
	store, err := gdrive.Create(t.Context(), config(s, "Backups/Chats"))
	if err != nil {
		t.Fatal(err)
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return store })
	t.Log("requests:", s.Calls())
}
