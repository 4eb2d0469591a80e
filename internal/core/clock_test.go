// SPDX-License-Identifier: Apache-2.0

package core

import "testing"

// TestFirstReading: a new fleet's leader does not begin before its first reading of the time again. What is registered
// then would be out of date at the next tick.
func TestFirstReading(t *testing.T) {
	h := newHost(t, nil)
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	p := h.c.parts[0]
	h.step(Tick{h.now, 100})
	p.ready = false // as if the first entry were stored after the first tick
	p.becomeReady(p.node.BasicStatus().GetTerm())
	if p.clock != 0 || p.now < h.now {
		t.Fatalf("it is %d, committed %d", p.now, p.clock)
	}
}
