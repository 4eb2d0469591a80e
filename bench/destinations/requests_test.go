// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/chatgen"
)

// count is a transport that counts.
type count struct{ requests atomic.Int64 }

func (c *count) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return http.DefaultTransport.RoundTrip(req)
}

// limits are the most requests that an operation may take, whatever the number of snapshots, on a small store.
var limits = map[string]int64{
	"first backup": 16,
	"same":         6,
	"list":         4,
	"day":          24, // 18, and what is read of the database's earlier versions
	"prune":        140,
}

// TestRequests counts what operations ask of a real S3 server beside 1, 10 and 100 snapshots, so that it cannot grow unnoticed.
func TestRequests(t *testing.T) {
	server := startServer(t)
	store, size := filepath.Join(t.TempDir(), "store"), chatgen.Config{Seed: 1, Messages: 3000, MediaFiles: 60, MediaMeanBytes: 20_000}
	if err := chatgen.Generate(t.Context(), store, size); err != nil {
		t.Fatal(err)
	}
	counter := &count{}
	o := newCoffer(t.TempDir(), store, place{server.Endpoint, server.AccessKey, server.SecretKey, "requests"}).order
	o.transport = counter
	o.Now = time.Now()
	do := func(what, operation string) int64 {
		t.Helper()
		before := counter.requests.Load()
		o.Now = o.Now.Add(time.Minute)
		o.Operation = operation
		if err := o.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		took := counter.requests.Load() - before
		if limit, ok := limits[what]; ok && took > limit {
			t.Errorf("%s: %d requests, the limit is %d", what, took, limit)
		}
		return took
	}
	do("create", "create")
	first, made := do("first backup", "backup"), 1
	t.Logf("first backup: %d", first)

	want := []int{1, 10, 100}
	if testing.Short() {
		want = want[:2]
	}
	day, restored := 0, t.TempDir()
	for _, snapshots := range want {
		for ; made < snapshots; made++ { // days on which only a picture came
			if err := os.WriteFile(filepath.Join(store, fmt.Sprint("picture-", made)), []byte(strings.Repeat(fmt.Sprint(made), 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
			o.Now = o.Now.Add(24 * time.Hour)
			do("day", "backup")
		}
		same, list := do("same", "backup"), do("list", "list")
		day++
		made++
		if err := chatgen.NextDay(t.Context(), store, size, day); err != nil {
			t.Fatal(err)
		}
		increment := do("day", "backup")
		o.To = filepath.Join(restored, fmt.Sprint(snapshots))
		back := do("restore", "restore")
		if back > int64(20+2*snapshots) { // contents of that many packs
			t.Errorf("a restore beside %d snapshots: %d requests", snapshots, back)
		}
		t.Logf("%d snapshots: nothing changed %d, a day later %d, list %d, restore %d", snapshots, same, increment, list, back)
	}
	t.Logf("prune: %d", do("prune", "prune"))
}
