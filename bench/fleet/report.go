// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

// report is what was measured.
type report struct {
	loads      []loadRow
	batches    []batchRow
	failovers  []failoverRow
	catchUps   []catchUpRow
	idle       []idleRow
	idleBytes  float64 // a second and node
	partitions int
}

type loadRow struct {
	replicas, delayMs int
	mix               string
	outcome           outcome
	alone             outcome // one operation after the other
}

type batchRow struct {
	replicas, workers int
	outcome           outcome
	spent             spent
}

type failoverRow struct {
	replicas int
	gaps     []float64 // milliseconds, ascending
	failed   int
}

type catchUpRow struct {
	replicas int
	changes  uint64
	took     time.Duration
}

type idleRow struct {
	slot, leads int
	host, core  float64 // percent of a processor
}

// print writes tables.
func (r *report) print(w io.Writer) {
	table := func(rows int, head, line string) bool {
		if rows > 0 {
			fmt.Fprintf(w, "\n%s\n%s\n", head, line)
		}
		return rows > 0
	}
	table(len(r.loads), "| mix | replicas | delay, each way | operations a second | p50 | p99 | p50 alone | failed |", "|---|---|---|---|---|---|---|---|")
	for _, l := range r.loads {
		fmt.Fprintf(w, "| `%s` | %d | %s | %.0f | %.0f ms | %.0f ms | %.0f ms | %d |\n", l.mix, l.replicas, delay(l.delayMs),
			l.outcome.PerSecond, l.outcome.P50, l.outcome.P99, l.alone.P50, l.outcome.Failed+l.alone.Failed)
	}
	table(len(r.batches), "| replicas | under way | operations a second | syncs of a change, each node | bytes between nodes of a change | writes of a change |", "|---|---|---|---|---|---|")
	for _, b := range r.batches {
		each := func(n uint64) float64 { return float64(n) / float64(max(b.spent.changes, 1)) }
		fmt.Fprintf(w, "| %d | %d | %.0f | %.2f | %.0f | %.2f |\n", b.replicas, b.workers, b.outcome.PerSecond,
			each(b.spent.syncs)/float64(b.replicas), each(b.spent.bytes), each(b.spent.writes))
	}
	table(len(r.failovers), "| replicas | leader killed, nobody answered: median | most | rounds | operations that failed |", "|---|---|---|---|---|")
	for _, f := range r.failovers {
		fmt.Fprintf(w, "| %d | %.2f s | %.2f s | %d | %d |\n", f.replicas, f.gaps[len(f.gaps)/2]/1000, f.gaps[len(f.gaps)-1]/1000, len(f.gaps), f.failed)
	}
	table(len(r.catchUps), "| replicas | changes that a node missed | from its start until it has them |", "|---|---|---|")
	for _, c := range r.catchUps {
		fmt.Fprintf(w, "| %d | %d | %.1f s |\n", c.replicas, c.changes, c.took.Seconds())
	}
	table(len(r.idle), fmt.Sprintf("| idle, %d partitions: node | leads | host | core | together |", r.partitions), "|---|---|---|---|---|")
	for _, i := range r.idle {
		fmt.Fprintf(w, "| %d | %d | %.1f %% | %.1f %% | %.1f %% of a core |\n", i.slot, i.leads, i.host, i.core, i.host+i.core)
	}
	if len(r.idle) > 0 {
		fmt.Fprintf(w, "\nIdle, a node sends %.1f kB a second.\n", r.idleBytes/1000)
	}
}

func delay(ms int) string {
	if ms == 0 {
		return "none"
	}
	return fmt.Sprintf("%d ms", ms)
}
