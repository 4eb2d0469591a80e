// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"os"
	"path/filepath"
	"testing"
)

// What killed processes left of state files goes with the next run; other files stay.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".head.json.tmp-1", ".a-next.key.tmp-22", "head.json.tmp-1", ".x.tmp-y"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := OpenDevice(dir, Options{}).Exclusive("test", func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{".head.json.tmp-1": false, ".a-next.key.tmp-22": false, "head.json.tmp-1": true, ".x.tmp-y": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}
