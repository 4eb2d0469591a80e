// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// machine is a host with its disk and its sealer, and the cores that it runs: one, and clones of it where the host is hostile.
type machine struct {
	w      *World
	node   int    // its place in World.machines, and one less than the slot that it is for
	info   string // how other hosts reach it
	disk   *disk
	sealer *sealer
	images []map[string][]byte

	main     *replica   // nil: it is off
	clones   []*replica // running beside it
	boots    int
	farewell [8]byte // the incarnation that stopped in good order, and that the next start from this disk may be
	stopping bool    // it was told to stop, and will be off
	tainted  bool    // something was done to its disk that may keep a core from starting
	wiped    bool    // it waits for a ticket to join with
	retired  bool    // another machine has its place
}

func (w *World) newMachine(node int) *machine {
	w.net.hosts++
	m := &machine{w: w, node: node, info: fmt.Sprint("host-", w.net.hosts), disk: newDisk()}
	m.sealer = newSealer(m.info)
	w.net.byInfo[m.info] = m
	return m
}

func (m *machine) slot() core.Slot { return core.Slot(m.node + 1) }

// config is what a core is started with: a seed of its own each time.
func (m *machine) config(r *replica) core.Config {
	m.boots++
	c := core.Config{Tier: "software", RotateEntries: m.w.schedule.Setup.RotateEntries, RotateMs: 30_000, StepBytes: m.w.schedule.Setup.StepBytes, Observe: r.observe}
	copy(c.Seed[:], fmt.Sprint(m.info, " ", m.boots))
	return c
}

// started makes a replica of a core that is being started, or notes why it cannot be.
func (m *machine) started(d *disk, start func(r *replica) (*core.Core, []core.Effect, error)) *replica {
	r := &replica{m: m, w: m.w, disk: d, strangers: map[core.Slot]*machine{}, numbers: map[*machine]core.Slot{}}
	r.protect(func() error {
		c, effects, err := start(r)
		if err != nil {
			return err
		}
		r.core, r.lastTick, r.started = c, m.w.clock(), m.w.now
		r.number = m.boots
		r.do(effects)
		return nil
	})
	if r.core == nil {
		return nil
	}
	m.w.trace.note("%d ms: machine %d (%s) starts core %d", m.w.now, m.node, m.info, m.boots)
	m.w.after(m.w.between(1, tickMs), r.tick)
	m.w.after(0, m.w.noteLoss) // it may have come without its place
	return r
}

// create makes the fleet.
func (m *machine) create() {
	m.main = m.started(m.disk, func(r *replica) (*core.Core, []core.Effect, error) {
		return core.Create(m.config(r), m.w.policy(), []byte(m.info), m.sealer.newEpoch())
	})
}

// join makes a replica of a running fleet, on an empty disk.
func (m *machine) join(ticket []byte) {
	m.disk, m.wiped = newDisk(), false
	m.main = m.started(m.disk, func(r *replica) (*core.Core, []core.Effect, error) {
		return core.Join(m.config(r), ticket, []byte(m.info), m.sealer.newEpoch())
	})
}

// boot starts a core from a disk of this machine.
func (m *machine) boot(d *disk) *replica {
	return m.started(d, func(r *replica) (*core.Core, []core.Effect, error) {
		c, effects, err := load(m.config(r), d, m.sealer, []byte(m.info))
		if err == nil {
			m.farewell = [8]byte{}
			if !m.w.schedule.Setup.KeepsKeys {
				m.sealer.keep(c.KeyIDs())
			}
			return c, effects, nil
		}
		m.farewell = [8]byte{}
		m.w.after(0, m.w.noteLoss)
		if m.tainted {
			m.w.trace.note("%d ms: machine %d cannot start: %v", m.w.now, m.node, err)
			m.w.trace.count["refused to start"]++
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("machine %d cannot start from its own disk: %w", m.node, err)
	})
}

// off ends the core, with a part of what its disk had not stored.
func (m *machine) off() {
	if m.main == nil {
		return
	}
	m.main.dead = true
	m.farewell = [8]byte{}
	if m.stopping && m.main.core.Idle() && m.w.schedule.Setup.Restart == wire.RestartCounter {
		m.farewell = viewOf(m.main.core).incarnation
	}
	m.main, m.stopping = nil, false
	m.disk.store(m.w.random.IntN(len(m.disk.queue) + 1))
	m.disk.queue = nil
	m.w.noteLoss()
}

// noteLoss notes whether there is still a majority that knows the state.
func (w *World) noteLoss() { w.lost = w.lost || !w.quorumWithout(nil) }

// quorumWithout tells whether a majority of voters lives when a machine is off: then the fleet can go on.
func (w *World) quorumWithout(off *machine) bool {
	if w.schedule.Setup.Restart == wire.RestartTrustDisk {
		return true // who is off has its vote, and will be on again
	}
	living := map[[8]byte]bool{}
	for _, m := range slices.Concat(w.machines, w.old) {
		if m != off {
			living[m.farewell] = true
			for _, r := range m.running() {
				living[viewOf(r.core).incarnation] = true
			}
		}
	}
	return w.checks.incarnations.quorum(func(s core.Seat) bool { return living[[8]byte(s.Incarnation[:8])] })
}

// on starts the core again, if the machine is off and has a place in the fleet.
func (m *machine) on() {
	switch {
	case m.main != nil || m.wiped || m.retired || m.w.failure != nil:
	case len(m.disk.stored) == 0: // it had joined, and died before its first write
		m.wiped = true
		m.w.invite(m)
	default:
		m.main = m.boot(m.disk)
	}
}

// clone starts a second core from an image.
func (m *machine) clone(image map[string][]byte) {
	m.tainted = true
	if r := m.boot(&disk{stored: maps.Clone(image)}); r != nil {
		r.clone = true
		m.clones = append(m.clones, r)
		m.w.trace.count["clone"]++
	}
}

// running are the cores that run on this machine.
func (m *machine) running() (list []*replica) {
	if m.main != nil {
		list = append(list, m.main)
	}
	return append(list, m.clones...)
}

func (m *machine) endClones() {
	for _, r := range m.clones {
		r.dead = true
	}
	m.clones = nil
}
