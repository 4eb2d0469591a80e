// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// TestKeep applies policies to a snapshot every twelve hours, at 6 and 18 o'clock, from Monday 1 January 2024 on.
func TestKeep(t *testing.T) {
	var refs []format.SnapshotRef
	for i := range 800 {
		at := time.Date(2024, 1, 1, 6+12*i, 0, 0, 0, time.Local)
		refs = append(refs, format.SnapshotRef{Name: format.DigestOf([]byte(at.String())), Time: at})
	}
	for _, c := range []struct {
		config PruneConfig
		until  int // how many of the snapshots there are
		want   string
	}{
		{PruneConfig{KeepLast: 1}, 1, "01-01/06"},
		{PruneConfig{KeepLast: 3}, 4, "01-01/18 01-02/06 01-02/18"},
		{PruneConfig{KeepLast: 9}, 2, "01-01/06 01-01/18"},
		{PruneConfig{KeepDaily: 2}, 4, "01-01/18 01-02/18"},
		{PruneConfig{KeepDaily: 2}, 5, "01-02/18 01-03/06"},
		{PruneConfig{KeepWeekly: 2}, 16, "01-07/18 01-08/18"},
		{PruneConfig{KeepMonthly: 2}, 70, "01-31/18 02-04/18"},
		{PruneConfig{KeepMonthly: 3, KeepDaily: 1, KeepLast: 2}, 150, "01-31/18 02-29/18 03-15/06 03-15/18"},
		{PruneConfig{KeepYearly: 5}, 800, "12-31/18 02-03/18"},
		{PruneConfig{}, 3, ""},
		{PruneConfig{KeepDaily: -1}, 3, ""},
	} {
		keep := c.config.keep(refs[:c.until])
		var got []string
		for _, r := range refs[:c.until] {
			if keep[r.Name] {
				got = append(got, r.Time.Format("01-02/15"))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v of %d keeps %q, want %q", c.config, c.until, got, c.want)
		}
	}
}

func TestPruneFreesWhatNothingNeeds(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for v := range byte(4) {
		w.write("stays", random(100, 300_000))
		w.write("changes", random(v, 200_000))
		d.mustBackup()
		w.clock.advance(24 * time.Hour)
	}
	bytes, _ := sizes(t, w)
	before := w.names("")
	dry, err := d.prune(PruneConfig{KeepLast: 1, DryRun: true})
	must(t, err)
	if after := w.names(""); !slices.Equal(before, after) {
		t.Errorf("a dry run has changed something: %v, %v", before, after)
	}
	for _, s := range dry.Removed {
		w.want[s.ID] = w.made[s.ID]
	}
	w.check()
	r, err := d.prune(PruneConfig{KeepLast: 1})
	must(t, err)
	if len(r.Removed) != 3 || len(r.Kept) != 1 || r.MarkedObjects != dry.MarkedObjects || r.MarkedBytes == 0 || r.DeletedObjects > 0 {
		t.Errorf("dry %+v, then %+v", dry, r)
	}
	w.check()
	w.clock.advance(grace - time.Minute)
	if r, err := d.prune(PruneConfig{KeepLast: 1}); err != nil || r.DeletedObjects > 0 {
		t.Errorf("before the grace period is over: %+v, %v", r, err)
	}
	w.clock.advance(2 * time.Minute)
	r, err = d.prune(PruneConfig{KeepLast: 1})
	must(t, err)
	if r.DeletedObjects < 6 || r.DeletedBytes < 400_000 {
		t.Errorf("%+v", r)
	}
	w.check()
	w.checkNoGarbage()
	if now, _ := sizes(t, w); now > bytes*2/3 {
		t.Errorf("%d bytes of packs, now %d", bytes, now)
	}
	if r, err := d.prune(PruneConfig{KeepLast: 1}); err != nil || r.MarkedObjects+r.DeletedObjects+r.RepackedBytes > 0 {
		t.Errorf("a prune with nothing to do: %+v, %v", r, err)
	}
	before = w.names("") // the marks of what is gone are gone, too
	if r, err := d.prune(PruneConfig{KeepLast: 1}); err != nil || r.RepackedBytes > 0 {
		t.Errorf("and another: %+v, %v", r, err)
	}
	if after := w.names(""); !slices.Equal(before, after) {
		t.Errorf("a prune with nothing to do has changed something: %v, %v", before, after)
	}
}

func TestPruneRefuses(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	if _, err := d.prune(PruneConfig{KeepLast: 1}); err != nil {
		t.Errorf("prune of an empty archive: %v", err)
	}
	tinyFill(w, 1)
	r := d.mustBackup()
	before := w.names("")
	_, err := d.prune(PruneConfig{})
	wantErr(t, "prune without a policy", err, ErrNothingKept)
	_, err = d.mustOpen().Forget(t.Context(), []ID{r.Snapshot}, nil)
	wantErr(t, "forget of the last snapshot", err, ErrNothingKept)
	_, err = d.mustOpen().Forget(t.Context(), []ID{format.NewID()}, nil)
	wantErr(t, "forget of nothing", err, ErrNoSnapshot)
	if after := w.names(""); !slices.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
	w.check()
}

// TestDeleteInterrupted: what an interrupted Delete leaves is whole, or has no head.
func TestDeleteInterrupted(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	other := newWorld(t)
	otherDevice := other.device()
	other.store = w.store
	a, err := Create(t.Context(), w.store, other.id, other.key, Options{})
	must(t, err)
	a.Close()
	otherDevice.store = w.store
	tinyFill(other, 1)
	otherDevice.mustBackup()
	grow(w, d, 4)
	for k := 1; ; k++ {
		c, _ := clone(t, w, d)
		err := Delete(t.Context(), failDelete(c, k), w.id)
		if err == nil {
			if left := c.names(""); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			o := *other
			o.store = c.store
			o.check()
			break
		}
		wantErr(t, "delete", err, errFault)
		if len(c.heads()) > 0 {
			c.check()
		}
		must(t, Delete(t.Context(), c.store, w.id))
		if left := c.names(""); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
