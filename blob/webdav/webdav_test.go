// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"crypto/sha1"
	"encoding/base64"
	"os"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/webdav"
)

// shaPassword is the one form of a password that Apache knows and Go's library can make.
func shaPassword(password string) string {
	sum := sha1.Sum([]byte(password))
	return "{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestApache(t *testing.T) {
	runSuite(t, startApache(t).config("a/b"))
}

// TestServer runs the suite at a server of one's own, in a folder that may be in use.
func TestServer(t *testing.T) {
	config := webdav.Config{
		URL:  os.Getenv("COFFER_WEBDAV_URL"),
		User: os.Getenv("COFFER_WEBDAV_USER"), Password: os.Getenv("COFFER_WEBDAV_PASSWORD"),
	}
	if config.URL == "" {
		t.Skip("COFFER_WEBDAV_URL names no server")
	}
	runSuite(t, config)
}

func runSuite(t *testing.T, config webdav.Config) {
	if _, err := webdav.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := webdav.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
