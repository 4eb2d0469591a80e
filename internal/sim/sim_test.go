// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 0, "the first seed of TestSchedules; 0: always the same")
	fresh     = flag.Bool("fresh", false, "take the first seed by the time")
	seeds     = flag.Int("seeds", 0, "how many seeds; 0: a fixed number")
	keep      = flag.String("keep", "", "the numbers of the only actions to play, as a failure prints them")
	lines     = flag.Int("lines", 60, "how many lines of what happened a failure prints")
)

// play runs a schedule with the entropy of its seed.
func play(t *testing.T, s *Schedule, keep int) (*Result, []string) {
	cryptotest.SetGlobalRandom(t, s.Seed)
	return Run(s, keep)
}

// TestSchedules plays many schedules. A failure prints a smaller one, and how to play it again.
func TestSchedules(t *testing.T) {
	seed, n := *firstSeed, *seeds
	if *fresh {
		seed = uint64(time.Now().UnixNano())
	}
	switch {
	case n > 0:
	case seed != 0:
		n = 1
	case testing.Short():
		n = 20
	default:
		n = 60
	}
	seed = max(seed, 1)
	t.Logf("seeds %d to %d", seed, seed+uint64(n)-1)
	counts := map[string]int{}
	for i := range n {
		s := Generate(seed+uint64(i), nil)
		if *keep != "" {
			var err error
			if s, err = s.Keep(*keep); err != nil {
				t.Fatal(err)
			}
		}
		result, _ := play(t, s, 0)
		for k, v := range result.Counts {
			counts[k] += v
		}
		if result.Failure != nil {
			t.Fatal(report(t, s, result.Failure))
		}
	}
	t.Log(counts)
	for _, must := range []string{"recovered", "registered", "evaluated"} {
		if counts[must] == 0 && n > 10 {
			t.Errorf("nothing was %s", must)
		}
	}
}

// report makes a failing schedule smaller and says what happens in it.
func report(t *testing.T, s *Schedule, f *Failure) string {
	small := Shrink(s, func(s *Schedule) *Result { r, _ := play(t, s, 0); return r }, f.Check, 100)
	again, happened := play(t, small, *lines)
	return fmt.Sprintf("%v\n\n%s\n%v\n%v\n\ngo test ./internal/sim -run TestSchedules -seed %d -keep %s",
		f, strings.Join(happened, "\n"), again.Failure, small, small.Seed, small.Numbers())
}

// TestRepeats: a run is a function of its schedule, to the last byte.
func TestRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		first, _ := play(t, Generate(seed, nil), 0)
		second, _ := play(t, Generate(seed, nil), 0)
		if first.Digest != second.Digest {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}
