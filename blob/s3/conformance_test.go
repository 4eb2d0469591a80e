// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/s3/s3test"
)

// server is shared by all tests of the package.
var server *s3test.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "s3server-")
		if err == nil {
			defer os.RemoveAll(dir)
			server, err = s3test.Start(context.Background(), dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Stop()
		return m.Run()
	}())
}

// realConfig leads to a bucket of a random name that does not exist.
func realConfig() Config {
	return Config{
		Bucket: "b-" + strings.ToLower(rand.Text()), Prefix: "some/where", Endpoint: server.Endpoint, Insecure: true,
		AccessKey: server.AccessKey, SecretKey: server.SecretKey,
	}
}

func create(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Create(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	s := create(t, realConfig())
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
	for info, err := range s.List(t.Context(), "") {
		t.Fatalf("left: %v, %v", info, err)
	}
}

// TestNoConditionalPut: with a look before each PUT the contract holds but for writers of one name at the same moment.
func TestCheckThenPut(t *testing.T) {
	c := realConfig()
	c.CheckThenPut, c.Prefix = true, ""
	s := create(t, c)
	for want := range 2 {
		err := s.Put(t.Context(), "x", []byte("data"))
		if (want == 0) != (err == nil) || want == 1 && !errors.Is(err, blob.ErrExists) {
			t.Errorf("Put %d: %v", want, err)
		}
	}
}
