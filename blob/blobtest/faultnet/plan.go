// SPDX-License-Identifier: Apache-2.0

package faultnet

import (
	"math/rand/v2"
	"net/http"
	"sync"
)

// Nth has a fault happen to the nth request alone.
func Nth(n int, fault Fault) Plan { return NthThen(n, fault, func() {}) }

// NthThen is Nth, and calls then when it is the nth request's turn.
func NthThen(n int, fault Fault, then func()) Plan {
	return func(asked int, _ *http.Request) Fault {
		if asked != n {
			return None
		}
		then()
		return fault
	}
}

// Random has one of the faults happen to one in every so many requests, and sometimes to several in a row. The same seed
// gives the same sequence. No more than most happen, so that what tries again comes to an end.
func Random(seed uint64, every, most int, faults ...Fault) Plan {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	burst, left := 0, most
	return func(int, *http.Request) Fault {
		mu.Lock()
		defer mu.Unlock()
		if burst == 0 && random.IntN(every) == 0 {
			burst = 1
			if random.IntN(4) == 0 {
				burst = 3
			}
		}
		fault := faults[random.IntN(len(faults))]
		if burst == 0 || left == 0 {
			return None
		}
		burst--
		left--
		return fault
	}
}
