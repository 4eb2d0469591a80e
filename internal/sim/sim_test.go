// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"flag"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 0, "the first seed; 0: by the time")
	seeds     = flag.Int("seeds", 0, "how many seeds; 0: a budget of time")
	verbose   = flag.Int("lines", 0, "how many lines of what happened to print after a failure")
)

// play runs a schedule with the entropy of its seed.
func play(t *testing.T, s *Schedule, keep int) (*Result, []string) {
	cryptotest.SetGlobalRandom(t, s.Seed)
	return Run(s, keep)
}

func TestRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		first, _ := play(t, Generate(seed, nil), 0)
		second, _ := play(t, Generate(seed, nil), 0)
		if first.Digest != second.Digest {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

func TestSchedules(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	n := *seeds
	if n == 0 {
		n = 20
	}
	counts := map[string]int{}
	for i := range n {
		s := Generate(seed+uint64(i), nil)
		result, lines := play(t, s, *verbose)
		for k, v := range result.Counts {
			counts[k] += v
		}
		if result.Failure != nil {
			for _, l := range lines {
				t.Log(l)
			}
			t.Fatalf("%v\n%v", result.Failure, s)
		}
	}
	t.Log(counts)
}
