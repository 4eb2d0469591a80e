// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"

	"github.com/coffer-backup/coffer/internal/core"
)

const keptMessages = 64 // of each machine's, for replays

// network carries peers' messages. It may lose, repeat and delay each, and bring old ones again.
type network struct {
	w      *World
	hosts  int
	byInfo map[string]*machine
	cut    map[[2]int]uint64   // from and to: until when nothing passes
	kept   map[int][]delivered // what a machine got
}

type delivered struct {
	from  *machine
	clone bool // which of its cores sent it
	data  []byte
}

func newNetwork(w *World) network {
	return network{w: w, byInfo: map[string]*machine{}, cut: map[[2]int]uint64{}, kept: map[int][]delivered{}}
}

// send takes a message from a core. The host finds the machine by what the fleet's book says of the slot.
func (n *network) send(r *replica, e core.Send) {
	to := r.strangers[e.Slot]
	for _, m := range r.peers {
		if to == nil && m.Slot == e.Slot {
			to = n.byInfo[string(m.Host)]
		}
	}
	if to == nil || to == r.m && !n.toItself(r) {
		return
	}
	faults := n.w.schedule.Setup.Network
	if n.w.calm {
		faults = Network{DelayMs: 5}
	}
	times := 1
	switch {
	case n.w.now < n.cut[[2]int{r.m.node, to.node}], n.w.chance(faults.DropPercent):
		times = 0
	case n.w.chance(faults.RepeatPercent):
		times = 2
	}
	for range times {
		n.w.after(n.w.between(1, faults.DelayMs), func() { n.deliver(delivered{r.m, r.clone, e.Data}, to) })
	}
}

// toItself: a clone may be sent what its slot sends.
func (n *network) toItself(r *replica) bool { return len(r.m.clones) > 0 }

// deliver gives a message to the core of a machine. Where clones run, a host sees to it that they mostly talk to clones: a fleet beside the fleet
// is what an attacker wants.
func (n *network) deliver(d delivered, to *machine) {
	kept := append(n.kept[to.node], d)
	n.kept[to.node] = kept[max(0, len(kept)-keptMessages):]
	apart := n.w.chance(70)
	for _, r := range to.running() {
		if !apart || r.clone == d.clone || len(to.clones) == 0 {
			r.give(core.Peer{Slot: r.slotOf(d.from), Data: bytes.Clone(d.data)})
		}
	}
}

// replay brings a machine some of its old messages again.
func (n *network) replay(to *machine) {
	kept := n.kept[to.node]
	for range min(16, len(kept)) {
		d := kept[n.w.random.IntN(len(kept))]
		n.w.after(n.w.between(0, 200), func() { n.deliver(d, to) })
	}
}

// slotOf is the slot that this core's host takes a machine for: one of the book, or a number for a stranger.
func (r *replica) slotOf(m *machine) core.Slot {
	for _, member := range r.peers {
		if string(member.Host) == m.info {
			return member.Slot
		}
	}
	if r.numbers[m] == 0 {
		number := core.FirstStranger + core.Slot(len(r.numbers))
		r.numbers[m], r.strangers[number] = number, m
	}
	return r.numbers[m]
}

// cutFor keeps messages from passing, for a while.
func (n *network) cutFor(from, to int, ms uint64) { n.cut[[2]int{from, to}] = n.w.now + ms }
