// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/internal/durable"
)

const (
	file         = "schedule.json"
	version      = 1
	maxFileBytes = 64 << 10
)

// Stored is what the state directory keeps of a schedule.
type Stored struct {
	Plan     Plan
	Since    time.Time // when it was set; what should have run before does not count
	Runner   string    // what starts the runs; a name of package install
	KeyFiles bool      // the keyring is not to be looked into, as with COFFER_HOME
}

type storedJSON struct {
	Version int `json:"version"`
	Words
	Since    time.Time `json:"since"`
	Runner   string    `json:"runner"`
	KeyFiles bool      `json:"key_files,omitempty"`
}

// ErrNone means that no schedule is set.
var ErrNone = errors.New("no schedule is set on this device")

// Load reads what Save stored in a state directory. It returns ErrNone if there is nothing.
func Load(stateDir string) (Stored, error) {
	path := filepath.Join(stateDir, file)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Stored{}, ErrNone
	} else if err != nil {
		return Stored{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return Stored{}, err
	}
	s, err := decode(data)
	if err != nil {
		return Stored{}, fmt.Errorf("%s: %w; set the schedule again", path, err)
	}
	return s, nil
}

func decode(data []byte) (Stored, error) {
	var stored storedJSON
	if err := json.Unmarshal(data, &stored); err != nil {
		return Stored{}, err
	}
	if stored.Version != version {
		return Stored{}, fmt.Errorf("it has version %d, this program knows %d", stored.Version, version)
	}
	plan, err := Parse(stored.Words)
	return Stored{plan, stored.Since, stored.Runner, stored.KeyFiles}, err
}

func (s Stored) encode() ([]byte, error) {
	return json.MarshalIndent(storedJSON{version, s.Plan.Words(), s.Since.UTC(), s.Runner, s.KeyFiles}, "", "  ")
}

// Save stores s in place of what was there, durably.
func (s Stored) Save(stateDir string) error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(stateDir, file), append(data, '\n'))
}

// Remove forgets what Save stored; there may be nothing.
func Remove(stateDir string) error { return durable.Remove(filepath.Join(stateDir, file)) }
