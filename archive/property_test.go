// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// A history of random edits, backups by two devices, prunes and accidents. All that is kept restores to what was there.
type randomHistory struct {
	*world
	rng     *rand.Rand
	devices []*device
	dbs     map[string]*pages
	log     []string
}

func TestRandomHistories(t *testing.T) {
	s := seed(t)
	histories := uint64(5)
	if testing.Short() {
		histories = 2
	}
	for i := range histories {
		h := &randomHistory{world: newWorld(t), rng: rand.New(rand.NewPCG(s, i)), dbs: map[string]*pages{}}
		for range 2 {
			d := h.device()
			d.copy = copyPlainly
			h.devices = append(h.devices, d)
		}
		for range 25 {
			h.step()
			if t.Failed() {
				t.Fatalf("history %d: %q", i, h.log)
			}
		}
		d := h.devices[0]
		h.check()
		checkAftermath(h.world, d)
		if t.Failed() {
			t.Fatalf("history %d: %q", i, h.log)
		}
	}
}

func (h *randomHistory) step() {
	h.clock.advance(time.Duration(h.rng.Int64N(int64(30 * time.Hour))))
	for range h.rng.IntN(8) {
		h.edit()
	}
	d := h.devices[h.rng.IntN(len(h.devices))]
	what := []string{"backup", "backup", "backup", "backup", "read all", "prune", "forget", "lose cache", "die", "key", "repair"}[h.rng.IntN(11)]
	h.log = append(h.log, what)
	switch what {
	case "backup":
		d.mustBackup()
	case "read all":
		d.config.ReadAll = true
		d.mustBackup()
		d.config.ReadAll = false
	case "prune":
		_, err := d.prune(PruneConfig{KeepLast: 1 + h.rng.IntN(4), KeepDaily: h.rng.IntN(4)})
		must(h.t, err)
	case "forget":
		if len(h.want) > 1 {
			a := d.mustOpen()
			all := a.Snapshots()
			id := all[h.rng.IntN(len(all))].ID
			_, err := a.Forget(h.t.Context(), []ID{id}, nil)
			must(h.t, err)
			delete(h.want, id)
			h.order = slices.DeleteFunc(h.order, func(o ID) bool { return o == id })
		}
	case "lose cache":
		must(h.t, os.RemoveAll(d.state))
		must(h.t, os.Mkdir(d.state, 0o700))
	case "die":
		h.write("so that it has something to store", random(byte(h.rng.Uint32()), 2000+len(h.log)))
		d.dieAt([]string{dirPacks, dirIndexes, dirSnapshots, dirHeads}[h.rng.IntN(4)])
		d.mustOpen().Unlock(h.t.Context())
	case "key":
		next := format.NewKey()
		must(h.t, d.mustOpen().ChangeKey(h.t.Context(), next))
		h.key = next
	case "repair":
		r, err := d.mustOpen().Repair(h.t.Context(), nil, nil)
		must(h.t, err)
		if len(r.Lost)+len(r.Dropped) > 0 {
			h.t.Errorf("%+v", r)
		}
	}
}

// edit changes the source.
func (h *randomHistory) edit() {
	path := h.somePath()
	full := filepath.Join(h.src, path)
	info, err := os.Lstat(full)
	exists := err == nil
	switch h.rng.IntN(12) {
	case 0, 1, 2:
		if exists && !info.Mode().IsRegular() || h.dbs[path] != nil {
			return
		}
		if err := h.tryWrite(full, h.bytes()); err != nil {
			return
		}
	case 3:
		delete(h.dbs, path)
		os.RemoveAll(full)
		for db := range h.dbs { // with the folder
			if _, err := os.Lstat(filepath.Join(h.src, db)); err != nil {
				delete(h.dbs, db)
			}
		}
	case 4:
		to := h.somePath()
		if h.dbs[path] == nil && h.dbs[to] == nil && (!exists || !info.IsDir()) {
			os.Rename(full, filepath.Join(h.src, to))
		}
	case 5:
		if exists && info.Mode()&fs.ModeSymlink == 0 {
			must(h.t, os.Chmod(full, info.Mode()&^0o777|fs.FileMode(h.rng.IntN(0o100))|0o700))
		}
	case 6:
		if !exists {
			os.Symlink(h.somePath(), full)
		}
	case 7:
		if !exists {
			os.Mkdir(full, 0o755)
		}
	case 8:
		if exists && info.Mode().IsRegular() && h.dbs[path] == nil {
			must(h.t, os.Truncate(full, h.rng.Int64N(9<<20)))
		}
	default:
		h.editDatabase(fmt.Sprintf("db-%d", h.rng.IntN(2)))
	}
}

func (h *randomHistory) editDatabase(path string) {
	p := h.dbs[path]
	switch {
	case p == nil || h.rng.IntN(15) == 0:
		p = newPages(h.rng, []int{512, 4096}[h.rng.IntN(2)], 1+h.rng.IntN(300))
	case h.rng.IntN(4) == 0:
		p.all = p.all[:1+h.rng.IntN(len(p.all))]
	default:
		for range h.rng.IntN(20) {
			p.all = append(p.all, p.page())
		}
		for range 1 + h.rng.IntN(30) {
			p.change(h.rng.IntN(len(p.all)))
		}
	}
	if err := h.tryWrite(filepath.Join(h.src, path), p.bytes()); err == nil {
		h.dbs[path] = p
	}
}

// tryWrite writes a file unless something that is no file is in the way.
func (h *randomHistory) tryWrite(full string, data []byte) error {
	if info, err := os.Lstat(full); err == nil && !info.Mode().IsRegular() {
		return errors.New("in the way")
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if h.rng.IntN(2) == 0 {
		os.Remove(full)
	}
	return os.WriteFile(full, data, 0o644)
}

// somePath returns one of few paths, so that things meet.
func (h *randomHistory) somePath() string {
	path := []string{"a", "b", "a.b", "b-", "\xfe", "é"}[h.rng.IntN(6)]
	for range h.rng.IntN(3) {
		path = filepath.Join("d"+string(rune('0'+h.rng.IntN(2))), path)
	}
	return path
}

// bytes returns a file's contents: of few kinds, so that there are duplicates.
func (h *randomHistory) bytes() []byte {
	size := []int{0, 1, 511, 5000, 70_000, 4 << 20, 4<<20 + 1}[min(h.rng.IntN(9), 6)]
	switch h.rng.IntN(3) {
	case 0:
		return make([]byte, size)
	case 1:
		return slices.Concat(random(byte(h.rng.IntN(3)), size/2), make([]byte, size-size/2))
	}
	return random(byte(h.rng.IntN(8)), size)
}
