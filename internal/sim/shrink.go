// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shrink leaves actions out of a schedule for as long as it fails by the same check, at most so many runs long (delta debugging: Zeller and
// Hildebrandt 2002). What is left is not the smallest that fails, but no part of it of the last size tried can be left out.
func Shrink(s *Schedule, play func(*Schedule) *Result, check string, runs int) *Schedule {
	fails := func(actions []Action) bool {
		runs--
		f := play(&Schedule{s.Seed, s.Setup, actions}).Failure
		return f != nil && f.Check == check
	}
	kept := s.Actions
	for size := (len(kept) + 1) / 2; size > 0 && runs > 0; {
		smaller := false
		for from := 0; from < len(kept) && runs > 0; {
			without := slices.Concat(kept[:from], kept[min(from+size, len(kept)):])
			if fails(without) {
				kept, smaller = without, true
			} else {
				from += size
			}
		}
		if !smaller || size > len(kept) {
			size /= 2
		}
	}
	return &Schedule{s.Seed, s.Setup, kept}
}

// Numbers are the actions of a schedule by their places in the one that the seed makes, as Keep takes them.
func (s *Schedule) Numbers() string {
	var list []string
	for _, a := range s.Actions {
		list = append(list, strconv.Itoa(a.Number))
	}
	return strings.Join(list, ",")
}

// Keep leaves only the actions of these numbers in a schedule.
func (s *Schedule) Keep(numbers string) (*Schedule, error) {
	kept := &Schedule{s.Seed, s.Setup, nil}
	for text := range strings.SplitSeq(numbers, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(s.Actions) {
			return nil, fmt.Errorf("sim: %q is not the number of an action", text)
		}
		kept.Actions = append(kept.Actions, s.Actions[n])
	}
	return kept, nil
}
