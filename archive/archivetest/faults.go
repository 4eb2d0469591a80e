// SPDX-License-Identifier: Apache-2.0

// Package archivetest proves an archive at a real destination behind a bad network. Each driver's tests run it.
//
// It guarantees that whatever the network does, a backup, restore or prune ends, with what it is there for or with an
// error; that the archive is then undamaged; and that every snapshot that a backup has acknowledged restores byte for
// byte. It trusts the destination itself, which it looks at past the network.
package archivetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest/faultnet"
)

const (
	seedVariable   = "ARCHIVE_SEED"   // repeats a run; goroutines still take turns as they like
	roundsVariable = "ARCHIVE_ROUNDS" // makes it longer
)

func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d repeats this run", seedVariable, s)
	return s
}

// Connect opens the destination, each time the same, behind a network with the plan. A nil plan is no network.
type Connect func(t *testing.T, plan faultnet.Plan) (blob.Store, *faultnet.Net)

// Faults runs backups, restores and prunes through faults that a seed picks. Each fault costs about half a second, that a
// driver waits before it tries again.
func Faults(t *testing.T, connect Connect) {
	r := &run{t: t, seed: seed(t), connect: connect, id: format.NewID(), key: format.NewKey(), device: format.NewID(), state: t.TempDir(),
		source: t.TempDir(), now: time.Now(), want: map[archive.ID]map[string]string{}}
	r.random = rand.New(rand.NewPCG(r.seed, 1))
	r.direct, _ = connect(t, nil)
	a, err := archive.Create(t.Context(), r.direct, r.id, r.key, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv(roundsVariable)); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 1
	}
	for range rounds {
		r.change()
		for _, what := range []struct {
			name string
			do   func(context.Context, *archive.Archive) error
		}{{"backup", r.backup}, {"restore", r.restore}, {"prune", r.prune}} {
			r.breakOff(what.name, what.do)
			r.through(what.name, what.do)
		}
		r.now = r.now.Add(25 * time.Hour) // what was marked may go now
	}
	r.breakOff("prune", r.prune)
	r.through("prune", r.prune)
	t.Logf("faults: %v", r.happened)
	if len(r.happened) == 0 {
		t.Error("no fault happened")
	}
}

// run is one archive and what it must hold.
type run struct {
	t             *testing.T
	seed          uint64
	random        *rand.Rand
	connect       Connect
	direct        blob.Store
	id, device    archive.ID
	key           archive.Key
	state, source string
	now           time.Time
	seen          archive.Head
	want          map[archive.ID]map[string]string // files of the snapshots that were acknowledged
	steps         int
	happened      map[string]int
}

// all that can happen, the usual more often.
var faults = []faultnet.Fault{
	faultnet.Lost, faultnet.CutRequest, faultnet.Unanswered, faultnet.Unanswered, faultnet.CutAnswer, faultnet.Busy, faultnet.Busy,
	faultnet.TooMany, faultnet.Failed, faultnet.Slow,
}

// through does one thing through the network, and looks at the archive past it. The driver mends what the network does.
func (r *run) through(what string, do func(context.Context, *archive.Archive) error) {
	r.t.Helper()
	r.steps++
	err := r.try(r.t.Context(), what, do, faultnet.Random(r.seed+uint64(r.steps), 8, 2, faults...))
	if err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
}

// breakOff does one thing until the user stops it at some request, which gets lost, or is acted on and not answered. It may be
// done by then, or fails; it does not say that it is done when it is not.
func (r *run) breakOff(what string, do func(context.Context, *archive.Archive) error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	fault := []faultnet.Fault{faultnet.Lost, faultnet.Unanswered}[r.random.IntN(2)]
	err := r.try(ctx, what+", broken off", do, faultnet.NthThen(4+r.random.IntN(40), fault, cancel))
	if err != nil && !errors.Is(err, context.Canceled) {
		r.t.Errorf("%s, broken off: %v", what, err)
	}
}

func (r *run) try(ctx context.Context, what string, do func(context.Context, *archive.Archive) error, plan faultnet.Plan) error {
	r.t.Helper()
	store, net := r.connect(r.t, plan)
	a, err := r.open(ctx, store)
	if err == nil {
		err = do(ctx, a)
		a.Close()
	}
	if r.happened == nil {
		r.happened = map[string]int{}
	}
	for fault, times := range net.Faults() {
		if fault != faultnet.None.String() {
			r.happened[fault] += times
		}
	}
	r.check(what)
	return err
}

func (r *run) open(ctx context.Context, store blob.Store) (*archive.Archive, error) {
	return archive.Open(ctx, store, r.id, r.key, archive.Options{
		Clock: func() time.Time { return r.now }, Device: r.device, Seen: r.seen,
		OnHead: func(h archive.Head) error { r.seen = h; return nil },
	})
}

// change writes new files, changes one and removes one.
func (r *run) change() {
	r.t.Helper()
	for i := range 6 {
		data := make([]byte, 1+r.random.IntN(600_000))
		for j := range data {
			data[j] = byte(r.random.Uint32())
		}
		name := filepath.Join(r.source, fmt.Sprintf("file-%d", r.random.IntN(12)))
		if err := os.WriteFile(name, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
		if i == 5 {
			os.Remove(name)
		}
	}
}

func (r *run) files() map[string]string { return readFiles(r.t, r.source) }

func readFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(data)
	}
	return files
}

func (r *run) backup(ctx context.Context, a *archive.Archive) error {
	report, err := a.Backup(ctx, archive.BackupConfig{Source: r.source, StateDir: r.state})
	if err == nil {
		r.want[report.Snapshot] = r.files()
	}
	return err
}

func (r *run) restore(ctx context.Context, a *archive.Archive) error {
	return r.restored(ctx, a, "")
}

// restored restores a snapshot, the newest if id is empty, and compares what it succeeds with.
func (r *run) restored(ctx context.Context, a *archive.Archive, id string) error {
	dir := filepath.Join(r.t.TempDir(), "target")
	defer os.RemoveAll(dir)
	report, err := a.Restore(ctx, archive.RestoreConfig{Snapshot: id, Dir: dir})
	if err != nil {
		return err
	}
	want, known := r.want[report.Snapshot]
	got := readFiles(r.t, dir)
	if len(report.Problems) > 0 || known && len(got) != len(want) {
		r.t.Errorf("restored %d of %d files; problems: %v", len(got), len(want), report.Problems)
	}
	for name, data := range want {
		if got[name] != data {
			r.t.Errorf("%s is restored wrong", name)
		}
	}
	return nil
}

func (r *run) prune(ctx context.Context, a *archive.Archive) error {
	report, err := a.Prune(ctx, archive.PruneConfig{KeepLast: 2})
	if err == nil {
		for _, s := range report.Removed {
			delete(r.want, s.ID)
		}
	}
	return err
}

// check looks at the archive past the network.
func (r *run) check(what string) {
	r.t.Helper()
	a, err := archive.Open(context.Background(), r.direct, r.id, r.key, archive.Options{})
	if err != nil {
		r.t.Fatalf("after %s: %v", what, err)
	}
	defer a.Close()
	v, err := a.Verify(r.t.Context(), archive.VerifyConfig{ReadAll: true})
	if err != nil || len(v.Damage) > 0 {
		r.t.Fatalf("after %s: verify: %v, %v", what, v, err)
	}
	there := map[archive.ID]bool{}
	for _, s := range a.Snapshots() {
		there[s.ID] = true
	}
	had := len(r.want) > 0
	for id := range r.want {
		if !there[id] && !strings.HasPrefix(what, "prune") { // a prune that failed may have removed it
			r.t.Fatalf("after %s: snapshot %s is gone", what, id)
		}
		if !there[id] {
			delete(r.want, id)
			continue
		}
		if err := r.restored(r.t.Context(), a, id.String()); err != nil {
			r.t.Fatalf("after %s: restore: %v", what, err)
		}
	}
	if len(there) == 0 && had {
		r.t.Fatalf("after %s: no snapshot is left", what)
	}
}
