// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"crypto/sha1"
	"encoding/base64"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/webdav"
)

// shaPassword is the one form of a password that Apache and Go's library both know.
func shaPassword(password string) string {
	sum := sha1.Sum([]byte(password))
	return "{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestApache(t *testing.T) {
	server := startApache(t)
	config := webdav.Config{URL: server.url + "/a/b", User: testUser, Password: testPassword}
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
