// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/webdav"
)

// A person is asked for what is missing, and sees nothing of a secret.
func TestTypedCredentials(t *testing.T) {
	dav := &webdav.Handler{FileSystem: webdav.NewMemFS(), LockSystem: webdav.NewMemLS()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != davPassword {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		dav.ServeHTTP(w, r)
	}))
	defer server.Close()
	c := atTerminal(t, t.TempDir(), "destination", "add", strings.Replace(server.URL, "http://", "webdav+http://ann@", 1)+"/backup")
	c.expect("Password of ann at 127.0.0.1:[0-9]+ .it is not shown.: ")
	c.typeLine(davPassword)
	c.expect("It works")
	if code, _ := c.end(); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(c.all.String(), davPassword) {
		t.Error("the password was shown")
	}
}

func TestTypedAccessKey(t *testing.T) {
	c := atTerminal(t, t.TempDir(), "destination", "add", "s3://chats?endpoint=127.0.0.1:1&insecure=1")
	c.expect("Access key id: ")
	c.typeLine("AKIA")
	c.expect("Secret key .it is not shown.: ")
	c.typeLine("hunter2")
	c.expect("\r\n")
	c.ctrl.WriteString("\x03") // nobody answers there
	if code, _ := c.end(); code != codeInterrupted {
		t.Errorf("exit code %d, want %d", code, codeInterrupted)
	}
	if strings.Contains(c.all.String(), "hunter2") {
		t.Error("the secret key was shown")
	}
}
