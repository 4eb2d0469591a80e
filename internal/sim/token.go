// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/internal/core"
)

// What happens around a sealer's one-use key, and to a sealer.

// halfStop ends a core somewhere in its last steps.
func (w *World) halfStop(m *machine, ms uint64) {
	if m.main == nil || m.stopping || w.schedule.Setup.Gentle && !w.quorumWithout(m) {
		return
	}
	m.stopping = true
	m.main.give(core.Stop{})
	w.after(w.between(0, 2*w.schedule.Setup.DiskMs+40), func() {
		if w.calm || !m.stopping {
			return
		}
		m.off()
		m.images = append(m.images, m.disk.image())
		w.after(ms, func() {
			if !w.calm {
				m.on()
			}
		})
	})
}

// halfBoot is a start that dies when the sealer has destroyed the keys that it does not need, before anything is sent or stored; and then another one.
func (w *World) halfBoot(m *machine, ms uint64) {
	if m.main != nil || m.wiped || m.retired || len(m.disk.stored) == 0 || w.schedule.Setup.Gentle && !w.quorumWithout(m) {
		m.on()
		return
	}
	config := m.config(&replica{m: m, w: w})
	config.Observe = nil // it does nothing that anybody sees
	c, _, err := load(config, m.disk, m.sealer, []byte(m.info))
	if err == nil && !w.schedule.Setup.KeepsKeys {
		m.sealer.keep(c.KeyIDs())
		m.farewell = [8]byte{}
		w.noteLoss()
		w.trace.count["half booted"]++
	}
	w.after(ms, func() {
		if !w.calm {
			m.on()
		}
	})
}

// newToken exchanges a machine's sealer. No core may start with the new one; a ticket gives the slot to the next.
func (w *World) newToken(m *machine) {
	if m.main == nil || !w.allServe() {
		return
	}
	w.restart(m, 100, func() {
		if m.main != nil || m.wiped || m.retired {
			return
		}
		m.tainted = true
		m.sealer = newSealer(fmt.Sprint(m.info, "/", m.boots))
		if m.on(); m.main != nil {
			w.fail("incarnation", errors.New("a core starts with another token"))
			return
		}
		m.wiped = true
		w.invite(m)
	})
}
