// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob/s3/s3test"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/webdav"
)

// places are the servers of script tests, which begin when a script asks for one, and end with the tests.
type places struct {
	dir string

	once sync.Once
	s3   *s3test.Server
	err  error
}

func newPlaces(t *testing.T) *places {
	p := &places{dir: t.TempDir()}
	t.Cleanup(func() {
		if p.s3 != nil {
			p.s3.Stop()
		}
	})
	return p
}

// s3server FILE: there is an S3 server at $S3. $S3_ID is the id of its key, and the file holds the secret key.
func (p *places) s3server(ts *testscript.TestScript, _ bool, args []string) {
	p.once.Do(func() { p.s3, p.err = s3test.Start(context.Background(), p.dir) })
	ts.Check(p.err)
	ts.Setenv("S3", p.s3.Endpoint)
	ts.Setenv("S3_ID", p.s3.AccessKey)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(p.s3.SecretKey+"\n"), 0o600))
}

// s3secret FILE gives the secret key to the next commands as the environment does.
func s3secret(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("AWS_SECRET_ACCESS_KEY", strings.TrimSpace(ts.ReadFile(args[0])))
}

const davPassword = "pass word: ä"

// davserver FILE: there is a WebDAV server at $DAV, the user is ann, and the file holds her password. The driver's own tests have a server that people use.
func davserver(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs("dav")
	ts.Check(os.MkdirAll(dir, 0o700))
	dav := &webdav.Handler{FileSystem: webdav.Dir(dir), LockSystem: webdav.NewMemLS()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != davPassword {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		dav.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("DAV", strings.TrimPrefix(server.URL, "http://"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(davPassword+"\n"), 0o600))
}

// findsecret DIR TEXTFILE looks for the one line of a file in all files below a folder but those for secrets, and in the outputs of the last command.
func findSecret(ts *testscript.TestScript, neg bool, args []string) {
	want := strings.TrimSpace(ts.ReadFile(args[1]))
	var found []string
	for _, output := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(output), want) {
			found = append(found, output)
		}
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) == ".secret" {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), want) {
			found = append(found, path)
		}
		return err
	}))
	if (len(found) > 0) == neg {
		ts.Fatalf("found in %q", found)
	}
}
