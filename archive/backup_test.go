// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func TestBackupAndRestore(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for v := range byte(3) {
		w.fill(v + 1)
		r := d.mustBackup()
		if r.Unchanged || r.AddedBytes == 0 || len(r.Problems) > 0 {
			t.Errorf("version %d: %+v", v, r)
		}
		w.clock.advance(1 << 40)
	}
	w.check()
	w.checkNoLock()
}

func TestUnchangedWritesNothing(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.fill(1)
	first := d.mustBackup()
	w.clock.advance(1 << 40)
	before := w.names("")
	f := &blobtest.Faulty{Store: w.store}
	d.store = f
	r := d.mustBackup()
	if !r.Unchanged || r.Snapshot != first.Snapshot || r.AddedObjects != 0 || r.AddedBytes != 0 || r.ReadBytes != 0 {
		t.Errorf("second backup: %+v", r)
	}
	if after := w.names(""); !slices.Equal(before, after) {
		t.Errorf("objects before %v, after %v", before, after)
	}
	ops := f.Ops()
	if ops[blobtest.OpPut] > 0 || ops[blobtest.OpDelete] > 0 {
		t.Errorf("it wrote: %v", ops)
	}
	total := 0
	for n := range maps.Values(ops) {
		total += n
	}
	if total > 12 {
		t.Errorf("it took %d operations at the destination: %v", total, ops)
	}
	w.check()
}

// TestManyProblems: not all are kept, but a torn file is, whatever comes before it.
func TestManyProblems(t *testing.T) {
	r := &run{}
	for i := range format.MaxProblems + 10 {
		r.problem(strconv.Itoa(i), ProblemUnreadable, "")
	}
	r.problem("torn", ProblemTorn, "")
	if n := len(r.problems); n != format.MaxProblems+1 || r.unlisted != 10 || !hasProblem(r.problems, "torn", ProblemTorn) {
		t.Errorf("%d problems, %d not listed", n, r.unlisted)
	}
}
