// SPDX-License-Identifier: Apache-2.0

package fakedrive_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"
	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
)

// TestGoogleClient lets Google's own client upload in chunks, multipart and as an empty file, list, download and delete: what it understands is what Drive speaks.
func TestGoogleClient(t *testing.T) {
	s, err := fakedrive.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const scope = "https://www.googleapis.com/auth/drive.appdata"
	login := oauth2.Config{ClientID: fakedrive.ClientID, ClientSecret: fakedrive.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: s.URL + "/token"}}
	client := login.Client(t.Context(), &oauth2.Token{RefreshToken: s.Grant(fakedrive.ClientID, scope)})
	d, err := drive.NewService(t.Context(), option.WithHTTPClient(client), option.WithEndpoint(s.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	for name, sizeBytes := range map[string]int{"empty": 0, "small": 1000, "one chunk": 256 << 10, "four chunks": 1 << 20, "five chunks": 1<<20 + 1} {
		data := make([]byte, sizeBytes)
		rand.NewChaCha8([32]byte{2}).Read(data)
		meta := &drive.File{Name: name, Parents: []string{"appDataFolder"}, AppProperties: map[string]string{"kind": "it's a \\ test"}}
		made, err := d.Files.Create(meta).Media(bytes.NewReader(data), googleapi.ChunkSize(256<<10)).Fields("id", "size").Do()
		if err != nil || made.Size != int64(sizeBytes) || made.Name != "" {
			t.Fatalf("%s: %+v, %v", name, made, err)
		}
		list := d.Files.List().Spaces("appDataFolder").Q("name = '" + name + `' and appProperties has { key='kind' and value='it\'s a \\ test' }`)
		found, err := list.Do()
		for err == nil && len(found.Files) == 0 { // the index shows it when its millisecond is over
			found, err = list.Do()
		}
		if err != nil || len(found.Files) != 1 || found.Files[0].Id != made.Id || found.Files[0].Size != 0 {
			t.Fatalf("%s: found %+v, %v", name, found, err)
		}
		resp, err := d.Files.Get(made.Id).Download()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(data), err)
		}
		if err := d.Files.Delete(made.Id).Do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.Files()); n != 0 {
		t.Errorf("%d files left", n)
	}
}

// TestRefuses: what Drive does not take, the fake does not either, so that a driver cannot rest on it.
func TestRefuses(t *testing.T) {
	s, err := fakedrive.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{"/drive/v3/files", "/drive/v3/about?fields=*", "/drive/v3/files/x?alt=media"} {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("GET %s without a token: %d", path, resp.StatusCode)
		}
	}
	for _, form := range []url.Values{
		{"grant_type": {"refresh_token"}, "client_id": {fakedrive.ClientID}, "client_secret": {"wrong"}},
		{"grant_type": {"refresh_token"}, "client_id": {fakedrive.ClientID}, "client_secret": {fakedrive.ClientSecret}, "refresh_token": {"unknown"}},
		{"grant_type": {"password"}, "client_id": {fakedrive.ClientID}, "client_secret": {fakedrive.ClientSecret}},
	} {
		resp, err := http.PostForm(s.URL+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("%v: %d", form, resp.StatusCode)
		}
	}
}
