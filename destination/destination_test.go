// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func parse(t *testing.T, text string) Location {
	t.Helper()
	l, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCredentials(t *testing.T) {
	var held Held
	l := parse(t, "s3://chats")
	if _, err := LoadCredentials(&held, l); !errors.Is(err, ErrNoCredentials) || coffer.CauseOf(err) != coffer.CauseDenied {
		t.Errorf("of nothing: %v, want ErrNoCredentials", err)
	}
	want := Credentials{AccessKey: "id", SecretKey: secret}
	if err := SaveCredentials(&held, l, want); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadCredentials(&held, parse(t, "S3://chats/?endpoint=s3.amazonaws.com")); err != nil || got != want {
		t.Errorf("by another spelling: other credentials, or %v", err)
	}
	if _, err := LoadCredentials(&held, parse(t, "s3://chats/other")); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("of another place: %v, want ErrNoCredentials", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, want); strings.Contains(text, secret) {
			t.Errorf("%s prints the secret", verb)
		}
	}
	if err := held.SaveSecret(SecretName(l), []byte(secret)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCredentials(&held, l); !errors.Is(err, coffer.ErrState) || strings.Contains(err.Error(), secret) {
		t.Errorf("something else in its place: %v, want ErrState", err)
	}
	if err := held.DeleteSecret(SecretName(l)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCredentials(&held, l); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("after DeleteSecret: %v", err)
	}
}

func TestBook(t *testing.T) {
	book := Book(filepath.Join(t.TempDir(), "new"))
	first, second := parse(t, "s3://chats"), parse(t, "gdrive:")
	if all, err := book.List(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v; want nothing", all, err)
	}
	for _, k := range []Known{
		{Destination: first.String(), Kind: KindS3},
		{Destination: second.String(), Kind: KindDrive, ClientID: "client"},
		{Destination: first.String(), Kind: KindS3, Stored: true},
	} {
		if err := book.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	all, err := book.List()
	if err != nil || len(all) != 2 || !all[0].Stored || all[1].ClientID != "client" {
		t.Errorf("%+v, %v", all, err)
	}
	if k, ok, err := book.Find(second); err != nil || !ok || k.ClientID != "client" {
		t.Errorf("%+v, %v, %v", k, ok, err)
	}
	for _, want := range []bool{true, false} {
		if was, err := book.Remove(first); err != nil || was != want {
			t.Errorf("Remove: %v, %v; want %v", was, err, want)
		}
	}
	if _, ok, err := book.Find(first); ok || err != nil {
		t.Errorf("it is still known: %v", err)
	}
	for _, text := range []string{"{", `{"version": 2}`} {
		if err := os.WriteFile(filepath.Join(string(book), bookFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := book.Add(Known{}); !errors.Is(err, coffer.ErrState) {
			t.Errorf("%s: %v, want ErrState", text, err)
		}
	}
}

func TestOpenFolder(t *testing.T) {
	var o Opener
	path := filepath.Join(t.TempDir(), "backup")
	if _, err := o.Open(t.Context(), path, false); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("a folder that is not there: %v, want ErrUnreachable", err)
	}
	store, err := o.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := Probe(t.Context(), store); err != nil {
		t.Error(err)
	}
	for info, err := range store.List(t.Context(), "") {
		t.Errorf("Probe left %v, %v", info, err)
	}
	if _, err := o.Open(t.Context(), "mycloud://x", true); !errors.Is(err, coffer.ErrDestination) {
		t.Errorf("%v, want ErrDestination", err)
	}
}

// replacing is a destination that keeps nothing of what is there.
type replacing struct{ blob.Store }

func (r replacing) Put(ctx context.Context, name string, data []byte) error {
	err := r.Store.Put(ctx, name, data)
	if errors.Is(err, blob.ErrExists) {
		return blobtest.Corrupt(ctx, r.Store, name, func([]byte) []byte { return data })
	}
	return err
}

func TestProbeFinds(t *testing.T) {
	if err := Probe(t.Context(), replacing{blobtest.Memory()}); !errors.Is(err, ErrUnfit) {
		t.Errorf("a destination that replaces: %v, want ErrUnfit", err)
	}
	for _, op := range []string{blobtest.OpPut, blobtest.OpReadAt, blobtest.OpList, blobtest.OpDelete} {
		store := &blobtest.Faulty{Store: blobtest.Memory(), Before: blobtest.Nth(op, 1, blob.ErrDenied)}
		if err := Probe(t.Context(), store); !errors.Is(err, blob.ErrDenied) {
			t.Errorf("%s is denied: %v", op, err)
		}
	}
}
