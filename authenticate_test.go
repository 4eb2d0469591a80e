// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
)

// What a gateway answers before anything is pinned is an attacker's: it is bounded, and followed nowhere.
func TestLoginDistrustsGateway(t *testing.T) {
	f := newFleet(t)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, recovery.ErrUnavailable},
		"no issuer": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }, recovery.ErrUnavailable},
		"not found": {http.NotFound, recovery.ErrUnavailable},
		"a text of its own": {func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprint(connection, "HTTP/1.1 500 evil text\r\nConnection: close\r\n\r\n")
				connection.Close()
			}
		}, recovery.ErrUnavailable},
		"a redirect": {http.RedirectHandler(f.server.URL+"/issuer/", http.StatusFound).ServeHTTP, recovery.ErrUnavailable},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"issuer_url":"` + f.server.URL + `/issuer", "x":"` + strings.Repeat("x", 1<<20) + `"}`))
		}, recovery.ErrUnavailable},
		"in the clear": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"issuer_url":"http://issuer.example"}`))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f.wellKnown = test.answer
			w := newWorld(t)
			_, err := w.device().Login(t.Context(), coffer.LoginOptions{URL: f.server.URL, Account: "alice"})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "evil") {
				t.Errorf("shows the gateway's text: %v", err)
			}
			if _, err := os.Stat(w.state + "/vault.json"); err == nil {
				t.Error("a refused login left something")
			}
		})
	}
	f.wellKnown = nil
	for name, o := range map[string]coffer.LoginOptions{
		"another host in the clear": {URL: "http://vault.example"},
		"no URL":                    {URL: "vault.example"},
		"no account":                {URL: f.server.URL},
		"no such role":              {URL: f.server.URL, Account: "alice", Role: "admin"},
	} {
		w := newWorld(t)
		_, err := w.device().Login(t.Context(), o)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if isURL := o.URL != f.server.URL; isURL != errors.Is(err, coffer.ErrVaultURL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An issuer that gives another role than was asked for.
	alice := f.account("alice")
	w := newWorld(t)
	if _, err := alice.offline(w).Login(t.Context(), coffer.LoginOptions{Role: "companion"}); !errors.Is(err, recovery.ErrLogin) {
		t.Errorf("another role: %v", err)
	}
}
