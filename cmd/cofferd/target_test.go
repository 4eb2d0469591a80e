// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestDiscover: only what the gateway itself says in a short answer is taken.
func TestDiscover(t *testing.T) {
	const answer = `{"issuer_url":"http://127.0.0.1:1/issuer"}`
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/good": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) },
		"/error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, answer)
		},
		"/redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/good/.well-known/coffer", http.StatusFound)
		},
		"/empty": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") },
		"/long":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer, strings.Repeat(" ", maxDiscovery)) },
	} {
		mux.HandleFunc(path+"/.well-known/coffer", h)
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	if at, err := discover(t.Context(), server.URL+"/good"); err != nil || at != "http://127.0.0.1:1/issuer" {
		t.Errorf("%q, %v", at, err)
	}
	for _, path := range []string{"/error", "/redirect", "/empty", "/long", "/absent"} {
		if at, err := discover(t.Context(), server.URL+path); err == nil {
			t.Errorf("%s: %q", path, at)
		}
	}
}
