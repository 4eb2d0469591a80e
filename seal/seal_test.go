// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/seal"
)

func TestParseKeyID(t *testing.T) {
	valid := string(seal.NewKeyID([16]byte{0x00, 0x9f, 0xaf}))
	if id, err := seal.ParseKeyID(valid); err != nil || string(id) != valid {
		t.Errorf("%q: %v, %v", valid, id, err)
	}
	for _, text := range []string{
		"", valid[1:], valid + "0", strings.ToUpper(valid), "g" + valid[1:], "/" + valid[1:], "../" + valid[3:],
		valid[1:] + "\n", valid[1:] + "\x00", valid[2:] + "é",
	} {
		if id, err := seal.ParseKeyID(text); !errors.Is(err, seal.ErrKeyID) || id != "" {
			t.Errorf("%q: %v, %v", text, id, err)
		}
	}
}

// FuzzParseKeyID: what is accepted is the id itself and reads as sixteen bytes.
func FuzzParseKeyID(f *testing.F) {
	f.Add(strings.Repeat("0a", 16))
	f.Add(strings.Repeat("0A", 16))
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := seal.ParseKeyID(text)
		if err != nil {
			return
		}
		if string(id) != text || len(text) != 32 || strings.Trim(text, "0123456789abcdef") != "" {
			t.Errorf("%q was accepted as %q", text, id)
		}
	})
}
