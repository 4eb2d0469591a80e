// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// lock takes the device's lock, or says with ErrBusy who holds it. The kernel frees it when
// the process dies, so it is never stale.
func (d *Device) lock(operation string) (unlock func(), err error) {
	path := filepath.Join(d.dir, "lock")
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	taken, err := lockFile(f, false)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !taken {
		defer f.Close()
		return nil, fmt.Errorf("%w (%s; lock file %s)", ErrBusy, holder(f), path)
	}
	if err := d.removeLeftovers(); err != nil {
		f.Close()
		return nil, err
	}
	// For people only: whoever reads it while it is written sees half a line.
	f.Truncate(0)
	fmt.Fprintf(f, "process %d, %s since %s\n", os.Getpid(), operation, d.now().Format("2006-01-02 15:04:05"))
	return func() { f.Close() }, nil
}

// Exclusive runs f while this process alone may change the device's state, and
// refuses with ErrBusy when another does. The operation is a word for people, such as "prune".
// Backup, Enable, Adopt, ChangeKey and Disable do it by themselves; f must not call them.
func (d *Device) Exclusive(operation string, f func() error) error {
	unlock, err := d.lock(operation)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

func openLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

func holder(f *os.File) string {
	b := make([]byte, 128)
	n, _ := f.ReadAt(b, 0)
	line, _, whole := strings.Cut(string(b[:n]), "\n")
	if !whole {
		return "just started"
	}
	return line
}
