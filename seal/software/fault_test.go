// SPDX-License-Identifier: Apache-2.0

package software

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

var errPower = errors.New("the power is gone")

// tracedDisk keeps a copy of the folder before and after each step: what a crash there leaves on the disk.
// It can also do a step by half, fail it, and fail all that follow.
type tracedDisk struct {
	disk
	t      *testing.T
	dir    string
	failAt int  // the step that fails; 0 for none
	done   bool // the failing step is done all the same, and only its answer is lost
	torn   bool // a failing write is done by half
	dead   bool // after the failing step nothing works
	steps  int

	copies []string // of the folder, in order
	synced int      // index of the first copy that can still be found after a crash: later names may be lost
}

// trace opens dir with a traced disk.
func trace(t *testing.T, dir string, d tracedDisk) (*Sealer, *tracedDisk) {
	t.Helper()
	opened := must(folder.Open(dir))(t)
	d.disk, d.t, d.dir = opened, t, dir
	d.snapshot()
	s := &Sealer{keys: &keyFiles{&d}}
	t.Cleanup(func() { opened.Close() })
	return s, &d
}

func (d *tracedDisk) snapshot() {
	to := filepath.Join(d.t.TempDir(), fmt.Sprint(len(d.copies)))
	if err := os.Mkdir(to, 0o700); err != nil {
		d.t.Fatal(err)
	}
	for _, entry := range must(os.ReadDir(d.dir))(d.t) {
		b := must(os.ReadFile(filepath.Join(d.dir, entry.Name())))(d.t)
		if err := os.WriteFile(filepath.Join(to, entry.Name()), b, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	d.copies = append(d.copies, to)
}

func (d *tracedDisk) step(do func() error) error {
	d.steps++
	if d.dead && d.failAt > 0 && d.steps > d.failAt {
		return errPower
	}
	if d.steps == d.failAt && !d.done {
		return errPower
	}
	err := do()
	d.snapshot()
	if d.steps == d.failAt {
		return errPower
	}
	return err
}

func (d *tracedDisk) Write(name string, data []byte) error {
	if d.torn && d.steps+1 == d.failAt {
		d.steps++
		d.disk.Write(name, data[:len(data)/2])
		d.snapshot()
		return errPower
	}
	return d.step(func() error { return d.disk.Write(name, data) })
}

func (d *tracedDisk) Overwrite(name string, size int) error {
	if d.torn && d.steps+1 == d.failAt {
		d.steps++
		d.disk.Overwrite(name, size/2)
		d.snapshot()
		return errPower
	}
	return d.step(func() error { return d.disk.Overwrite(name, size) })
}

func (d *tracedDisk) Rename(from, to string) error {
	return d.step(func() error { return d.disk.Rename(from, to) })
}
func (d *tracedDisk) Remove(name string) error {
	return d.step(func() error { return d.disk.Remove(name) })
}

func (d *tracedDisk) Sync() error {
	synced := false
	err := d.step(func() error { synced = true; return d.disk.Sync() })
	if synced {
		d.synced = len(d.copies) - 1
	}
	return err
}

// found is each state of the folder that a crash now may leave.
func (d *tracedDisk) found() []string { return d.copies[d.synced:] }

// state opens a copy and says whether the key is there. Whatever the crash was, the folder must open,
// the key must work or be absent everywhere, the other keys must work, and nothing half done may stay.
func state(t *testing.T, dir string, id seal.KeyID, sealed []byte, other seal.KeyID, others []byte) (alive bool) {
	t.Helper()
	s := must(Open(dir))(t)
	defer s.Close()
	if got, err := s.Open(t.Context(), other, others, aad); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("another key: %v", err)
	}
	ids := must(s.Keys(t.Context()))(t)
	alive = slices.Contains(ids, id)
	if got, err := s.Open(t.Context(), id, sealed, aad); alive && !bytes.Equal(got, secret) {
		t.Errorf("a listed key does not work: %v", err)
	} else if !alive && !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("an absent key: %v", err)
	}
	for _, entry := range must(os.ReadDir(dir))(t) {
		if name := entry.Name(); name != folder.LockName && !strings.HasSuffix(name, keyEnding) {
			t.Errorf("left after recovery: %s", name)
		}
	}
	return alive
}

func TestCrashInNewKey(t *testing.T) {
	dir, first, other, others := made(t)
	first.Close()
	s, d := trace(t, dir, tracedDisk{})
	id := must(s.NewKey(t.Context()))(t)
	acknowledged := d.found()
	sealed := must(s.Seal(t.Context(), id, secret, aad))(t)

	if d.steps != 3 {
		t.Errorf("%d steps", d.steps)
	}
	for _, copied := range acknowledged {
		if !state(t, copied, id, sealed, other, others) {
			t.Errorf("NewKey returned, and a crash loses the key (%s)", filepath.Base(copied))
		}
	}
	for _, copied := range d.copies {
		state(t, copied, id, sealed, other, others)
	}
}

// TestOpenFlushesNames: what a killed process had named may not be durable, and Keys lists it.
func TestOpenFlushesNames(t *testing.T) {
	dir, first, _, _ := made(t)
	first.Close()
	s, d := trace(t, dir, tracedDisk{})
	if err := s.keys.recover(); err != nil || d.steps != 1 || d.synced != 1 {
		t.Errorf("%v after %d steps, flushed at %d", err, d.steps, d.synced)
	}
}

func TestCrashInDestroy(t *testing.T) {
	dir, first, other, others := made(t)
	id := must(first.NewKey(t.Context()))(t)
	sealed := must(first.Seal(t.Context(), id, secret, aad))(t)
	key := must(os.ReadFile(filepath.Join(dir, string(id)+keyEnding)))(t)
	first.Close()

	s, d := trace(t, dir, tracedDisk{})
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, copied := range d.found() {
		if state(t, copied, id, sealed, other, others) {
			t.Errorf("Destroy returned, and a crash brings the key back (%s)", filepath.Base(copied))
		}
	}
	gone := false
	for i, copied := range d.copies {
		alive := state(t, copied, id, sealed, other, others)
		if alive && gone {
			t.Errorf("step %d: the key came back", i)
		}
		gone = !alive
	}
	// The file was overwritten while it had its name, not only unlinked.
	overwritten := false
	for _, copied := range must(copiesBefore(t, dir, id, key))(t) {
		overwritten = overwritten || bytes.Equal(copied, make([]byte, fileSize))
	}
	if !overwritten {
		t.Error("the key was not overwritten")
	}
}

// copiesBefore destroys a key again from its file, and returns what the file held at each step.
func copiesBefore(t *testing.T, dir string, id seal.KeyID, key []byte) (contents [][]byte, err error) {
	again := filepath.Join(t.TempDir(), "again")
	if err := os.Mkdir(again, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(again, string(id)+keyEnding), key, 0o600); err != nil {
		return nil, err
	}
	s, d := trace(t, again, tracedDisk{})
	if err := s.Destroy(t.Context(), id); err != nil {
		return nil, err
	}
	for _, copied := range d.copies {
		if b, err := os.ReadFile(filepath.Join(copied, string(id)+goneEnding)); err == nil {
			contents = append(contents, b)
		}
	}
	return contents, nil
}

// TestFailedSteps fails each step in each way: not done, done but not acknowledged, done by half, and with
// everything after it failing too. What was acknowledged holds, and trying again gets there.
func TestFailedSteps(t *testing.T) {
	for _, fault := range []tracedDisk{{}, {done: true}, {torn: true}, {dead: true}, {done: true, dead: true}, {torn: true, dead: true}} {
		for failAt := 1; failAt <= 5; failAt++ {
			fault.failAt = failAt
			t.Run(fmt.Sprintf("done %v torn %v dead %v step %d", fault.done, fault.torn, fault.dead, failAt), func(t *testing.T) {
				failNewKey(t, fault)
				failDestroy(t, fault)
			})
		}
	}
}

func failNewKey(t *testing.T, fault tracedDisk) {
	dir, first, other, others := made(t)
	first.Close()
	s, d := trace(t, dir, fault)
	id, err := s.NewKey(t.Context())
	if (err != nil) != (fault.failAt <= 3) || err != nil && (!errors.Is(err, errPower) || id != "") {
		t.Fatalf("NewKey: %q, %v", id, err)
	}
	var sealed []byte
	if left := must(filepath.Glob(filepath.Join(dir, "*"+newEnding)))(t); len(left) > 0 && !fault.dead {
		t.Errorf("left behind: %v", left)
	}
	if err != nil {
		id = seal.KeyID(strings.Repeat("0", 32)) // nobody was told of one
	} else {
		sealed = must(s.Seal(t.Context(), id, secret, aad))(t)
	}
	for _, copied := range d.copies {
		state(t, copied, id, sealed, other, others)
	}
}

func failDestroy(t *testing.T, fault tracedDisk) {
	dir, first, other, others := made(t)
	id := must(first.NewKey(t.Context()))(t)
	sealed := must(first.Seal(t.Context(), id, secret, aad))(t)
	first.Close()

	s, d := trace(t, dir, fault)
	if err := s.Destroy(t.Context(), id); err != nil && !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	if err := s.Destroy(t.Context(), id); fault.dead && d.steps > fault.failAt {
		if !errors.Is(err, errPower) {
			t.Errorf("without power: %v", err)
		}
	} else if err != nil {
		t.Fatalf("again: %v", err)
	} else {
		for _, copied := range d.found() {
			if state(t, copied, id, sealed, other, others) {
				t.Errorf("acknowledged, and a crash brings the key back (%s)", filepath.Base(copied))
			}
		}
	}
	for _, copied := range d.copies {
		state(t, copied, id, sealed, other, others)
	}
}
