// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/folder"
)

// TestKill kills backups with SIGKILL at random moments, and the next ones of the same device, too. Nothing that was stored is
// sent again, no lock is in the way, and earlier snapshots stay whole.
func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 0))
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	w := newWorld(t)
	for i := range byte(20) {
		w.write(fmt.Sprintf("video-%d.mp4", i), random(i, 4<<20))
	}
	measure := func(store blob.Store, d *device) (bytes int64, took time.Duration) {
		begin := time.Now()
		d.store = store
		r := d.mustBackup()
		return r.AddedBytes, time.Since(begin)
	}
	fresh := func() blob.Store {
		store, err := folder.Create(filepath.Join(t.TempDir(), "destination"))
		must(t, err)
		a, err := Create(t.Context(), store, w.id, w.key, Options{})
		must(t, err)
		a.Close()
		return store
	}
	whole, took := measure(fresh(), w.device())

	midway := 0
	for round := 0; round < rounds || midway == 0 && round < 50; round++ { // a kill may come too late on a busy machine
		store, d := fresh(), w.device()
		w.store, w.want, w.order = store, map[ID]tree{}, nil
		killBackup(t, w, d, 1+rng.IntN(3), 0)
		for range rng.IntN(3) {
			killBackup(t, w, d, 0, time.Duration(rng.Int64N(int64(took))))
		}
		stored, packs := sizes(t, w)
		done := len(w.heads()) > 0
		bytes, _ := measure(store, d)
		r := d.mustBackup()
		switch {
		case !r.Unchanged:
			t.Errorf("round %d: a further backup: %+v", round, r)
		case done:
			if bytes > 0 {
				t.Errorf("round %d: the killed backup was complete, and %d bytes were added", round, bytes)
			}
		case stored+bytes > whole+whole/50:
			t.Errorf("round %d: %d packs, %d bytes, were there; the next backup added %d; a whole one has %d", round, packs, stored, bytes, whole)
		case packs > 0:
			midway++
		}
		w.checkNoLock()
		w.check()
	}
	if midway == 0 {
		t.Error("no kill hit the middle of a backup")
	}
}

func sizes(t *testing.T, w *world) (bytes int64, packs int) {
	t.Helper()
	for info, err := range w.store.List(t.Context(), w.id.String()+"/"+dirPacks) {
		must(t, err)
		bytes += info.SizeBytes
		packs++
	}
	return bytes, packs
}

// killBackup runs a backup in a process of its own and kills that after a while, and when there are some packs.
func killBackup(t *testing.T, w *world, d *device, packs int, after time.Duration) {
	t.Helper()
	job, err := json.Marshal(childJob{
		Destination: w.store.String(), Source: w.src, State: d.state, Archive: w.id, Device: d.id, Key: w.key.Digits(),
	})
	must(t, err)
	cmd := child(t, "backup", string(job))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	bufio.NewScanner(out).Scan() // until it has begun
	time.Sleep(after)            // the moment is what is random here; nothing waits for it
	for _, n := sizes(t, w); n < packs && len(w.heads()) == 0; _, n = sizes(t, w) {
		time.Sleep(time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
}

// TestReusedPacks counts what the next run adopts of a run that died right before its commit.
func TestReusedPacks(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for i := range byte(6) {
		w.write(fmt.Sprintf("video-%d.mp4", i), random(i, 8<<20))
	}
	d.dieAt(dirSnapshots)
	_, packs := sizes(t, w)
	if r := d.mustBackup(); r.ReusedPacks != int64(packs) || packs < 3 || r.AddedBytes > 100_000 {
		t.Errorf("%d packs were there; %+v", packs, r)
	}
	w.check()
}

// TestLockOfCompleteBackup: a run that died after its commit leaves its lock, and the next one removes it although it has nothing to store.
func TestLockOfCompleteBackup(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("video.mp4", random(1, 1<<20))
	d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if op == blobtest.OpDelete && strings.Contains(name, "/"+dirLocks) {
			return errFault
		}
		return nil
	}}
	d.mustBackup()
	if locks := w.names(dirLocks); len(locks) != 1 {
		t.Fatalf("%d locks are left", len(locks))
	}
	d.store = w.store
	if r := d.mustBackup(); !r.Unchanged {
		t.Errorf("a further backup: %+v", r)
	}
	w.checkNoLock()
}
