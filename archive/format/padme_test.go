// SPDX-License-Identifier: Apache-2.0

package format

import "testing"

func TestPadme(t *testing.T) {
	// 8, 9 and 10 are the paper's example; 78 and 85 are from its authors' own tests.
	for n, want := range map[int]int{
		0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 7: 7, 8: 8, 9: 10, 10: 10, 78: 80, 85: 88, 129: 144,
		1_000_000: 1_015_808, MaxPackSize: MaxPackSize, MaxPackSize - 1: MaxPackSize, MaxObjectSize: MaxObjectSize,
	} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestPadmeBounds(t *testing.T) {
	sizes, before := 0, 0
	for n := 1; n <= 1<<22; n++ {
		p := Padme(n)
		if p < n || p < before || Padme(p) != p {
			t.Fatalf("Padme(%d) = %d, after %d", n, p, before)
		}
		if p != specPadme(n) {
			t.Fatalf("Padme(%d) = %d, by the definition %d", n, p, specPadme(n))
		}
		over := float64(p-n) / float64(n)
		if over > 0.12 || n >= 64<<10 && over > 0.032 {
			t.Fatalf("Padme(%d) = %d: %.1f %% more", n, p, 100*over)
		}
		if p != before {
			sizes++
		}
		before = p
	}
	// Sizes around 2^e become at most 2e: all that a size tells beside its magnitude are log2(2e) bits.
	if most := 22 * 22; sizes > most {
		t.Errorf("up to 4 MiB there are %d sizes, more than %d", sizes, most)
	}
}
