// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/durable"
)

// A device's state is a few small files. Each is replaced as a whole, so that a
// crash leaves the old or the new one.

// maxStateFile bounds what is read of a state file, in bytes.
const maxStateFile = 4 << 20

// readJSON reads a state file into v. A file that is absent gives fs.ErrNotExist.
func (d *Device) readJSON(name string, v any) error {
	data, err := readBounded(filepath.Join(d.dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrState, filepath.Join(d.dir, name), err)
	}
	return nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStateFile+1))
	if err == nil && len(data) > maxStateFile {
		err = fmt.Errorf("%w: %s is larger than %d bytes", ErrState, path, maxStateFile)
	}
	return data, err
}

func (d *Device) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(d.dir, name), append(data, '\n'))
}

// removeLeftovers removes what killed processes left of files that they were about to replace. The caller holds the
// device's lock; head.json and runs.json have ones of their own.
func (d *Device) removeLeftovers() error {
	for _, lock := range []func() (func(), error){d.lockHead, d.lockHistory} {
		unlock, err := lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	entries, err := os.ReadDir(d.dir)
	for _, e := range entries {
		if durable.Leftover.MatchString(e.Name()) && e.Type().IsRegular() {
			err = errors.Join(err, durable.Remove(filepath.Join(d.dir, e.Name())))
		}
	}
	return err
}
