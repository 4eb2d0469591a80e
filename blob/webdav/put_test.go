// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
	"github.com/coffer-backup/coffer/blob/webdav"
)

func open(t *testing.T, config webdav.Config) *webdav.Store {
	t.Helper()
	s, err := webdav.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// create makes a folder at a server of its own, and returns where in the file system it is.
func create(t *testing.T) (config webdav.Config, folder string) {
	t.Helper()
	server := startApache(t)
	config = server.config("archive")
	if _, err := webdav.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return config, filepath.Join(server.folder, "archive")
}

// TestWritersOfManyStores: nothing that one store knows alone decides who wins.
func TestWritersOfManyStores(t *testing.T) {
	config, folder := create(t)
	for round := range 10 {
		name := fmt.Sprintf("d%d/x", round)
		var writers sync.WaitGroup
		won := make(chan byte, 8)
		for i := range byte(8) {
			s := open(t, config)
			writers.Go(func() {
				switch err := s.Put(t.Context(), name, bytes.Repeat([]byte{i}, 10_000)); {
				case err == nil:
					won <- i
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		writers.Wait()
		got, err := os.ReadFile(filepath.Join(folder, name))
		if len(won) != 1 {
			t.Errorf("%d writers won", len(won))
		} else if winner := <-won; err != nil || !bytes.Equal(got, bytes.Repeat([]byte{winner}, 10_000)) {
			t.Errorf("the object is not the winner's: %v", err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(folder, ".coffer")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDeadWriter ends a Put between its claim and the object's name. The next writer of that name makes the object appear.
func TestDeadWriter(t *testing.T) {
	config, _ := create(t)
	ctx, cancel := context.WithCancel(t.Context())
	dying := config
	dying.URL = faultnet.New(t, config.URL, func(_ int, r *http.Request) faultnet.Fault {
		if r.Method == "MOVE" && !strings.Contains(r.Header.Get("Destination"), ".coffer") {
			cancel()
			return faultnet.Lost
		}
		return faultnet.None
	}).URL
	if err := open(t, dying).Put(ctx, "x", []byte("first")); !errors.Is(err, context.Canceled) {
		t.Fatalf("the Put that dies: %v", err)
	}
	s := open(t, config)
	if _, err := s.ReadAt(t.Context(), "x", nil, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("before the next writer: %v", err)
	}
	if err := s.Put(t.Context(), "x", []byte("second")); !errors.Is(err, blob.ErrExists) {
		t.Errorf("the next writer: %v", err)
	}
	if got, err := blobtest.Read(t.Context(), s, "x"); string(got) != "first" {
		t.Errorf("the object is %q, %v", got, err)
	}
}

// TestLateStep lets a step of a Put arrive when everything is over, as a network may. It finds nothing to act on.
func TestLateStep(t *testing.T) {
	config, folder := create(t)
	direct := open(t, config)
	late := config
	overtaken := false
	late.URL = faultnet.New(t, config.URL, func(_ int, r *http.Request) faultnet.Fault {
		if r.Method == "MOVE" && !strings.Contains(r.Header.Get("Destination"), ".coffer") && !overtaken {
			overtaken = true
			if err := direct.Put(t.Context(), "x", []byte("second")); !errors.Is(err, blob.ErrExists) { // publishes the first
				t.Errorf("the one who overtakes: %v", err)
			}
			if err := direct.Delete(t.Context(), "x"); err != nil {
				t.Error(err)
			}
			if err := direct.Put(t.Context(), "x", []byte("third")); err != nil {
				t.Error(err)
			}
		}
		return faultnet.None
	}).URL
	if err := open(t, late).Put(t.Context(), "x", []byte("first")); !errors.Is(err, blob.ErrExists) {
		t.Errorf("the late one: %v", err)
	}
	if got, err := blobtest.Read(t.Context(), direct, "x"); string(got) != "third" {
		t.Errorf("the object is %q, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Join(folder, ".coffer")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTakenForLeftover removes a Put's folder under it: it begins again.
func TestTakenForLeftover(t *testing.T) {
	config, folder := create(t)
	times := 0
	watched := config
	watched.URL = faultnet.New(t, config.URL, func(_ int, r *http.Request) faultnet.Fault {
		if r.Method == "MOVE" || r.Method == "PUT" {
			if times++; times < 4 {
				os.RemoveAll(filepath.Join(folder, ".coffer"))
			}
		}
		return faultnet.None
	}).URL
	s := open(t, watched)
	if err := s.Put(t.Context(), "x", []byte("data")); err != nil {
		t.Error(err)
	}
	if got, err := blobtest.Read(t.Context(), s, "x"); string(got) != "data" {
		t.Errorf("the object is %q, %v", got, err)
	}
}

func TestLeftovers(t *testing.T) {
	config, folder := create(t)
	hidden := filepath.Join(folder, ".coffer")
	id, hash := strings.Repeat("a", 26), strings.Repeat("0", 64)
	for name, age := range map[string]time.Duration{
		id: 25 * time.Hour, hash: 25 * time.Hour, strings.Repeat("b", 26): 23 * time.Hour, "notours": 1000 * time.Hour,
	} {
		when := time.Now().Add(-age)
		if err := errors.Join(
			os.Mkdir(filepath.Join(hidden, name), 0o777),
			os.WriteFile(filepath.Join(hidden, name, id), []byte("data"), 0o666),
			os.Chmod(filepath.Join(hidden, name), 0o777),
			os.Chtimes(filepath.Join(hidden, name), when, when),
		); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, config).Put(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(hidden)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{strings.Repeat("b", 26), "notours"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left: %q, %v; want %q", left, err, want)
	}
}

// TestRemovedFolder: a destination that has gone is not an empty one.
func TestRemovedFolder(t *testing.T) {
	config, folder := create(t)
	s := open(t, config)
	if err := errors.Join(s.Put(t.Context(), "d/x", nil), os.Rename(folder, folder+"-away")); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "d/", "none/"} {
		if _, err := listed(t, s, prefix); !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("List(%q): %v", prefix, err)
		}
	}
	if err := s.Put(t.Context(), "d/y", nil); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("Put: %v", err)
	}
	if _, err := webdav.Open(t.Context(), config); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("Open: %v", err)
	}
}

// TestServerThatReplaces has a server that does not know Overwrite: F. Create refuses it.
func TestServerThatReplaces(t *testing.T) {
	config, _ := create(t)
	to, err := url.Parse(config.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		r.Out.Header.Del("Overwrite")
	}})
	defer proxy.Close()
	config.URL = proxy.URL + to.EscapedPath()
	if _, err := webdav.Create(t.Context(), config); err == nil || !strings.Contains(err.Error(), "Overwrite") {
		t.Errorf("Create: %v", err)
	}
}

func TestWrongPassword(t *testing.T) {
	config, _ := create(t)
	config.Password = secret
	if _, err := webdav.Open(t.Context(), config); !errors.Is(err, blob.ErrDenied) || strings.Contains(err.Error(), secret) {
		t.Errorf("Open: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://host/path": true, "https://host:8443": true, "http://127.0.0.1:80/x": true, "http://[::1]/x": true, "http://localhost/": true,
		"http://host/path": false, "http://127.0.0.1.host/": false, "ftp://host/": false, "host/path": false, "": false, "https://": false,
		"https://u:" + secret + "@host/": false, "https://host/?k=" + secret: false, "https://host/#x": false, "https://ho st/" + secret: false,
	} {
		_, err := webdav.Impatient(webdav.Config{URL: address})
		if (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if _, err := webdav.Impatient(webdav.Config{URL: "http://host/path", Insecure: true}); err != nil {
		t.Errorf("insecure on purpose: %v", err)
	}
	config := webdav.Config{URL: "https://host/", User: "someone", Password: secret}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, config) + fmt.Sprintf(format, &config); strings.Contains(text, secret) {
			t.Errorf("%s prints the password", format)
		}
	}
}
