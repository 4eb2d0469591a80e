// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"

	"github.com/coffer-backup/coffer/wire"
)

const (
	startMs = 1_800_000_000_000 // the time of day when a world begins
	tickMs  = 100
	leaping = 20 // times as fast: slow enough that a core does not take its peers for silent
)

// World is one run.
type World struct {
	schedule *Schedule
	now      uint64 // virtual milliseconds: of messages and disks
	extra    uint64 // what clocks are ahead of it, because of leaps
	leapEnd  uint64
	queue    eventQueue
	sequence uint64
	random   *rand.Rand // of network and disks
	steps    int

	machines   []*machine // by slot
	old        []*machine // whose slots other machines have
	net        network
	descriptor *wire.Descriptor
	tokens     *issuer
	clients    []*client // of each account the owner and a thief
	sent       [][]byte  // clients' requests, for replays
	misled     *machine  // that clients take for the leader until misledEnd
	misledEnd  uint64
	current    func() (struct{}, bool)
	stops      []func()

	calm    bool // no faults: before the schedule and after it
	lost    bool // the majority that knew the state is gone, so that the fleet needs not serve any more
	checks  *checks
	trace   trace
	failure *Failure
}

// Failure is what a run was stopped for.
type Failure struct {
	Check string // which checker, or "core" or "world"
	Err   error
	AtMs  uint64
}

func (f *Failure) Error() string { return fmt.Sprintf("%s, at %d ms: %v", f.Check, f.AtMs, f.Err) }

// Result is what came of a run.
type Result struct {
	Failure *Failure // nil: nothing is wrong
	Digest  [32]byte // of all that happened
	Steps   int
	Counts  map[string]int // of what happened, for tests that want to see that something did
}

// fail notes the first thing that is wrong.
func (w *World) fail(check string, err error) {
	if w.failure == nil && err != nil {
		w.failure = &Failure{check, err, w.now}
		w.trace.note("FAILED %v", w.failure)
	}
}

// clock is the time by everybody's own clock, in ms: it runs faster in a leap.
func (w *World) clock() uint64 { return w.now + w.extra }

func (w *World) timeOfDay() wire.UnixMs { return startMs + wire.UnixMs(w.clock()) }

// An event happens at a time; those of one time happen in the order in which they were asked for.
type event struct {
	at, sequence uint64
	do           func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].sequence < q[j].sequence
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return last
}

// after has something done in a while.
func (w *World) after(ms uint64, do func()) {
	w.sequence++
	heap.Push(&w.queue, event{w.now + ms, w.sequence, do})
}

// run lets time pass until then, or until something is wrong, or until enough says so.
func (w *World) run(until uint64, enough func() bool) {
	for len(w.queue) > 0 && w.failure == nil && (enough == nil || !enough()) {
		if w.queue[0].at > until {
			break
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	if w.failure == nil && (enough == nil || !enough()) {
		w.now = max(w.now, until)
	}
}

// chance is true so many times in a hundred.
func (w *World) chance(percent int) bool { return percent > 0 && w.random.IntN(100) < percent }

// between draws from low up to and with high.
func (w *World) between(low, high uint64) uint64 { return low + w.random.Uint64N(high-low+1) }

// trace is the digest of all that happened, and the last of it in words.
type trace struct {
	sum   hash.Hash
	lines []string
	keep  int
	count map[string]int
}

func newTrace(keep int) trace { return trace{sum: sha256.New(), keep: keep, count: map[string]int{}} }

// note adds a line.
func (t *trace) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	t.sum.Write([]byte(line))
	if t.keep > 0 {
		t.lines = append(t.lines[max(0, len(t.lines)+1-t.keep):], line)
	}
}

// bytes adds bytes that passed between two.
func (t *trace) bytes(what string, at uint64, node int, data []byte) {
	var head [16]byte
	binary.BigEndian.PutUint64(head[:], at)
	binary.BigEndian.PutUint64(head[8:], uint64(node))
	t.sum.Write([]byte(what))
	t.sum.Write(head[:])
	t.sum.Write(data)
	t.count[what]++
}
