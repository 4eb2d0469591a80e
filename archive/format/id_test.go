// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	id := NewID()
	if again, err := ParseID(id.String()); err != nil || again != id || id == NewID() || id.IsZero() || !(ID{}).IsZero() {
		t.Errorf("%s came back as %s, %v", id, again, err)
	}
	text, err := json.Marshal(map[ID]ID{id: id})
	if err != nil {
		t.Fatal(err)
	}
	var again map[ID]ID
	if err := json.Unmarshal(text, &again); err != nil || again[id] != id {
		t.Errorf("%s came back as %v, %v", text, again, err)
	}
	digits := strings.Repeat("ab", 16)
	for _, bad := range []string{"", digits[1:], digits + "0", digits + "00", strings.ToUpper(digits), digits[:31] + "g", digits[:31] + "\n", " " + digits[1:]} {
		if id, err := ParseID(bad); err == nil || !id.IsZero() {
			t.Errorf("ParseID(%q) gives %s, %v", bad, id, err)
		}
	}
}

func TestDigests(t *testing.T) {
	d := DigestOf([]byte("abc")) // FIPS 180-2, B.1
	if d.String() != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" || d.IsZero() || !(Digest{}).IsZero() {
		t.Errorf("the digest of abc is %s", d)
	}
	if again, ok := ParseDigest(d.String()); !ok || again != d {
		t.Errorf("%s came back as %s", d, again)
	}
	digits := d.String()
	for _, bad := range []string{"", digits[1:], digits + "0", digits + "00", strings.ToUpper(digits), digits[:63] + "g", digits[:63] + "\x00"} {
		if _, ok := ParseDigest(bad); ok {
			t.Errorf("ParseDigest accepts %q", bad)
		}
	}
}
