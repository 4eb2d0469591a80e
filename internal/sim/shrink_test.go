// SPDX-License-Identifier: Apache-2.0

package sim

import "testing"

// TestShrink: of a schedule that fails by two of its actions together, those two are left.
func TestShrink(t *testing.T) {
	s := Generate(1, nil)
	first, second := s.Actions[3], s.Actions[len(s.Actions)-2]
	played := 0
	needs := func(s *Schedule) *Result {
		played++
		found := 0
		for _, a := range s.Actions {
			if a == first || a == second {
				found++
			}
		}
		if found == 2 {
			return &Result{Failure: &Failure{Check: "both"}}
		}
		return &Result{}
	}
	small := Shrink(s, needs, "both", 500)
	if len(small.Actions) != 2 || small.Actions[0] != first || small.Actions[1] != second {
		t.Errorf("after %d runs: %v", played, small)
	}
	again, err := s.Keep(small.Numbers())
	if err != nil || len(again.Actions) != 2 || again.Actions[1] != second {
		t.Errorf("Keep: %v, %v", again, err)
	}
	if other := Shrink(s, needs, "another", 500); len(other.Actions) != len(s.Actions) {
		t.Error("a failure by another check was made smaller")
	}
	if _, err := s.Keep("1,x"); err == nil {
		t.Error("Keep takes what is no number")
	}
}
