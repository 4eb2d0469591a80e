// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// BenchmarkIdle is what a node of five costs that has nothing to do but its partitions: the core's work in a second of its time, sealing and
// opening of the peers' frames included, and how many bytes it sends. %core is of one processor.
func BenchmarkIdle(b *testing.B) {
	for _, partitions := range []uint16{1, 256} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			f := newFleet(b, 5, func(h *host) { h.policy.Partitions = partitions })
			f.until("every partition has a leader", func() bool {
				for _, h := range f.live() {
					if !h.c.Stats().Serving {
						return false
					}
				}
				return true
			})
			f.pass(20_000)
			var sent, frames int
			for _, h := range f.live() {
				before := h.onSend
				h.onSend = func(e Send) { sent += len(e.Data); frames++; before(e) }
			}
			began, seconds := time.Now(), 0
			for b.Loop() {
				f.pass(1000)
				seconds++
			}
			spent := time.Since(began).Seconds()
			b.ReportMetric(100*spent/float64(seconds)/5, "%core/node")
			b.ReportMetric(float64(sent)/float64(seconds)/5, "B/s/node")
			b.ReportMetric(float64(frames)/float64(seconds)/5, "frames/s/node")
		})
	}
}

// lifeOf is what happens to an account: it is registered, and then guessed at and proved for ever.
func lifeOf(round int) ledger.Op {
	id, serial := wire.RegistrationID{1}, wire.Serial(round/2)
	switch {
	case round == 0:
		return &ledger.Register{ID: id, KSF: someKSF}
	case round == 1:
		return &ledger.Confirm{ID: id}
	case round%2 == 0:
		return &ledger.Charge{ID: id, Serial: serial, Element: wire.ElementDigest{byte(round)}}
	}
	return &ledger.Prove{ID: id, Serial: serial}
}

// BenchmarkCatchUp is how long a replica takes that was away for 100,000 guesses, in time of the fleet, which knows no delays, and in work.
func BenchmarkCatchUp(b *testing.B) {
	const guesses = 100_000
	for b.Loop() {
		f := newFleet(b, 3, nil)
		ids := accounts(10_000)
		leader := f.leader(0)
		away := leader.slot%3 + 1
		f.crash(away)
		for i := range guesses {
			if err := leader.c.parts[0].propose(0, ids[i%len(ids)], lifeOf(i/len(ids))); err != nil {
				b.Fatal(err)
			}
			if leader.step(); i%100 == 99 {
				f.deliver()
			}
			if i%10_000 == 9_999 {
				f.pass(100)
			}
		}
		f.until("they are applied", func() bool { return leader.c.parts[0].applied >= guesses })
		began, was := time.Now(), leader.now
		f.restart(away)
		f.until("it has caught up", func() bool {
			return f.votes(away) && f.hosts[away].c.parts[0].applied == leader.c.parts[0].applied
		})
		b.ReportMetric(time.Since(began).Seconds(), "s-work/catch-up")
		b.ReportMetric(float64(leader.now-was)/1000, "s-fleet/catch-up")
	}
}
