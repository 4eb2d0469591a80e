// SPDX-License-Identifier: Apache-2.0

package blob_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/blob"
)

func TestValidName(t *testing.T) {
	long := strings.Repeat("x", blob.MaxNameElementBytes)
	for _, name := range []string{"a", "z9", "0", "-", "_", "a.b", "a..b", "a/b/c/d", "packs/0f", long + "/" + long + "/" + long + "/" + long} {
		if err := blob.ValidName(name); err != nil {
			t.Errorf("ValidName(%q): %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "a/b/c/d/e", "a/./b", "../a", ".a", "a/.b", "a.", "a./b",
		"A", "aB", "`", "{", "a b", "a:b", `a\b`, "a\x00", "a\n", "a\u00e9", "\xff", long + "x", "a/" + long + "x",
	} {
		err := blob.ValidName(name)
		if !errors.Is(err, blob.ErrName) {
			t.Errorf("ValidName(%q): %v; want ErrName", name, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("ValidName(%q): an error of %d bytes", name, len(err.Error()))
		}
	}
}
