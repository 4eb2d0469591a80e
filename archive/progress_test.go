// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// The bytes that a backup has done are those at the destination: none that are only in a buffer, and after an interruption also those that
// the run before has left there.
func TestBackupProgressIsWhatIsStored(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	const files, size = 22, format.SegmentSize
	for i := range files {
		w.write(fmt.Sprintf("f%02d", i), random(byte(i), size))
	}
	w.write("zeros", make([]byte, size))
	w.write("twice", random(1, size))
	const total = (files + 2) * size

	// backup lets so many packs through and returns what was done when the last of all came.
	backup := func(packs int64) (done int64, err error) {
		var progress Progress
		var put, last atomic.Int64
		d.config.Progress = &progress
		d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
			if op != blobtest.OpPut || !strings.Contains(name, "/"+dirPacks) {
				return nil
			}
			if now := progress.DoneBytes.Load(); now > total || progress.TotalBytes.Load() != total {
				t.Errorf("%d of %d bytes are done, and there are %d", now, progress.TotalBytes.Load(), total)
			}
			last.Store(progress.DoneBytes.Load())
			if put.Add(1) > packs {
				return errFault
			}
			return nil
		}}
		_, err = d.backup()
		return last.Load(), err
	}
	// What need not be sent is two files' worth, and a pack holds less than four.
	done, err := backup(0)
	wantErr(t, "no pack is taken", err, errFault)
	if done > 2*size {
		t.Errorf("%d bytes are done without one pack", done)
	}
	done, err = backup(1)
	wantErr(t, "one pack is taken", err, errFault)
	if done > 6*size {
		t.Errorf("%d bytes are done with one pack", done)
	}
	done, err = backup(1000)
	must(t, err)
	if done < total-packBuffers*format.MaxPackSize || done >= total {
		t.Errorf("%d of %d bytes are done before the last pack", done, total)
	}
	w.check()
}
