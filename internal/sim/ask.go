// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"errors"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

const (
	attemptMs    = 1_500 // after which a gateway tries another replica
	attempts     = 8
	keptRequests = 256 // for replays by the host
)

// errUnknown: no answer came that counts. The request may have been done, or may be yet.
var errUnknown = errors.New("sim: no answer")

// ask sends a request as a client does through its gateway: the same sealed bytes again, to another replica, until one answers. A refusal
// comes as a *wire.Error.
func (c *client) ask(body wire.Body) (wire.Body, error) {
	op := c.w.checks.linear.begin(c, body)
	answer, err := c.exchange(body)
	c.w.checks.linear.end(op, answer, err)
	c.w.trace.note("%d ms: %v asks %T: %T, %v", c.w.now, c, body, answer, err)
	return answer, err
}

// elsewhere are refusals after which another replica is asked: this one cannot answer now, or its clock is wrong.
var elsewhere = map[wire.Code]bool{
	wire.CodeUnavailable: true, wire.CodeOverloaded: true, wire.CodeToken: true, wire.CodeTokenExpired: true,
}

func (c *client) exchange(body wire.Body) (wire.Body, error) {
	envelope, opener, err := c.w.descriptor.Seal(c.id, &wire.Request{Token: c.w.tokens.token(c.name), Body: body})
	if err != nil {
		c.w.fail("world", err)
		return nil, errUnknown
	}
	c.w.sent = append(c.w.sent[max(0, len(c.w.sent)+1-keptRequests):], envelope)
	partition, _ := wire.EnvelopePartition(envelope)
	for range attempts {
		raw := c.attempt(c.choose(partition), envelope)
		if raw == nil {
			continue
		}
		answer, sealed, err := opener.Open(raw)
		var refusal *wire.Error
		if errors.As(err, &refusal) {
			if !sealed || elsewhere[refusal.Code] {
				c.sleep(100 + c.random.Uint64N(400))
				continue
			}
			return nil, refusal
		}
		if err != nil {
			c.w.fail("answer", err) // no host of this world makes answers up
		}
		return answer, err
	}
	return nil, errUnknown
}

// choose takes the replica that leads, as some host believes, or any.
func (c *client) choose(p wire.Partition) *machine {
	if c.w.now < c.w.misledEnd && c.random.IntN(2) == 0 {
		return c.w.misled
	}
	any := c.w.machines[c.random.IntN(len(c.w.machines))]
	if c.random.IntN(5) == 0 || any.main == nil {
		return any
	}
	if leader := any.main.leaders[p]; leader > 0 && leader < core.FirstStranger && int(leader) <= len(c.w.machines) {
		return c.w.machines[leader-1]
	}
	return any
}

// attempt asks one machine, and is nil if it does not answer in time.
func (c *client) attempt(m *machine, envelope []byte) (raw []byte) {
	c.suspend(func(wake func()) {
		c.w.after(c.w.clientDelay(), func() {
			if len(m.running()) == 0 {
				wake() // the connection is refused
			}
			for _, r := range m.running() {
				r.ask(bytes.Clone(envelope), func(answer []byte) {
					if c.w.lostToClients() {
						return
					}
					c.w.after(c.w.clientDelay(), func() {
						if raw == nil {
							raw = answer
						}
						wake()
					})
				})
			}
		})
		c.w.after(attemptMs, wake)
	})
	return raw
}

// clientDelay is how long a message takes between a client and a host.
func (w *World) clientDelay() uint64 { return w.between(1, 30) }

// lostToClients tells whether an answer gets lost on its way.
func (w *World) lostToClients() bool {
	return !w.calm && w.chance(w.schedule.Setup.Network.DropPercent)
}

// resend gives a machine old requests of clients again, as a hostile host or gateway can.
func (w *World) resend(m *machine) {
	for range min(8, len(w.sent)) {
		envelope := w.sent[w.random.IntN(len(w.sent))]
		w.after(w.between(0, 500), func() {
			for _, r := range m.running() {
				r.ask(bytes.Clone(envelope), func([]byte) {})
			}
		})
	}
}
