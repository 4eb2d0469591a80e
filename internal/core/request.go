// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"errors"

	"go.etcd.io/raft/v3"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// A request goes through these stations:
//
//	receive    -> Run(open)           a worker opens the seal and checks token and elements
//	dispatch   -> propose, or read    the core decides what it is about
//	committed  -> answer              the command is in the log of a majority and applied
//	              or Run(evaluate)    a guess is evaluated only from here (INV-COMMIT)
//	done       -> answer

// receive takes a sealed request from the host.
func (c *Core) receive(in Request) {
	n, err := wire.EnvelopePartition(in.Envelope)
	switch {
	case c.stopping || len(c.parts) == 0:
		c.refusePlain(in.ID, wire.Refuse(wire.CodeUnavailable))
		return
	case len(c.requests) >= maxRequests:
		c.refusePlain(in.ID, overloaded())
		return
	case len(in.Envelope) > 0 && len(in.Envelope) <= wire.MaxEnvelope && in.Envelope[0] != wire.Version:
		c.refusePlain(in.ID, wire.Refuse(wire.CodeVersion))
		return
	case err != nil:
		c.refusePlain(in.ID, wire.Refuse(wire.CodeMalformed))
		return
	}
	p := c.parts[min(int(n), len(c.parts)-1)] // a wrong number is found when the request is open
	if !p.serves() {
		c.refusePlain(in.ID, wire.Refuse(wire.CodeUnavailable))
		return
	}
	c.nextRequest++
	c.requests[c.nextRequest] = &request{id: in.ID, part: p}
	c.deadlines = append(c.deadlines, deadline{c.nextRequest, c.elapsed + requestMs})
	c.emit(Run{c.nextRequest, &openJob{&c.identity, in.Envelope, max(p.now, c.reading)}})
}

// refusePlain refuses a request that was not opened. The client takes it for a hint.
func (c *Core) refusePlain(id uint64, refusal *wire.Error) {
	c.emit(Answer{id, wire.PlainRefusal(refusal)})
}

func overloaded() *wire.Error {
	return &wire.Error{Code: wire.CodeOverloaded, RetryAfterMs: overloadMs}
}

// answer ends a request.
func (c *Core) answer(n uint64, body wire.Body) {
	r := c.requests[n]
	if r == nil {
		return // given up
	}
	delete(c.requests, n)
	if r.sealer == nil {
		refusal, _ := body.(*wire.Error)
		c.emit(Answer{r.id, wire.PlainRefusal(refusal)})
		return
	}
	c.emit(Answer{r.id, r.sealer.Seal(c.entropy.bytes32(), body)})
}

// refuseAll gives up what a partition works on, which is led by another core now: the client repeats it there, free.
func (c *Core) refuseAll(p *partition) {
	p.reads = nil
	for _, d := range c.deadlines {
		if r := c.requests[d.request]; r != nil && r.part == p {
			c.refuse(d.request, wire.CodeUnavailable)
		}
	}
}

func (c *Core) refuse(n uint64, code wire.Code) { c.answer(n, wire.Refuse(code)) }

// expireRequests gives up what took too long, so that nothing that the host or raft withholds fills the memory.
func (c *Core) expireRequests() {
	for len(c.deadlines) > 0 {
		first := c.deadlines[0]
		if _, waiting := c.requests[first.request]; waiting && first.at > c.elapsed {
			return
		}
		c.refuse(first.request, wire.CodeUnavailable)
		c.deadlines = c.deadlines[1:]
	}
}

// done takes a job's result and goes on with its request.
func (c *Core) done(in Done) {
	r := c.requests[in.ID]
	if r == nil {
		return
	}
	switch result := in.Result.(type) {
	case *opened:
		r.sealer = result.sealer
		if result.refusal != nil {
			c.answer(in.ID, result.refusal)
			return
		}
		r.account, r.body = wire.NewAccountID(result.claims.Issuer, result.claims.Subject), result.body
		if refusal := c.admit(r, result); refusal != nil {
			c.answer(in.ID, refusal)
			return
		}
		c.dispatch(in.ID, r)
	case *evaluated:
		c.registerStarted(in.ID, r, result)
	case *ke2:
		c.recoverStarted(in.ID, r, result)
	default: // the worker failed
		c.refuse(in.ID, wire.CodeUnavailable)
	}
}

// admit checks who asks, and here.
func (c *Core) admit(r *request, o *opened) *wire.Error {
	if o.partition != r.part.number || wire.PartitionOf(c.identity.fleet, r.account, c.identity.policy.Partitions) != r.part.number {
		return wire.Refuse(wire.CodeWrongPartition) // INV-ACCOUNT
	}
	if r.body.Kind() != wire.KindStatus && o.claims.Role != token.Primary {
		return wire.Refuse(wire.CodeNotPrimary)
	}
	return nil
}

// dispatch starts the work on an opened request.
func (c *Core) dispatch(n uint64, r *request) {
	if !r.part.serves() {
		c.refuse(n, wire.CodeUnavailable)
		return
	}
	switch b := r.body.(type) {
	case *wire.Status:
		if !ruleAskMajority {
			r.part.reads = append(r.part.reads, read{n, 0})
			return
		}
		r.part.node.ReadIndex(binary.BigEndian.AppendUint64(nil, n))
	case *wire.RegisterStart:
		c.registerStart(n, r, b)
	case *wire.RegisterFinish:
		c.registerFinish(n, r, b)
	case *wire.RegisterConfirm:
		op := &ledger.Confirm{ID: b.Registration, Manage: b.Manage.Hash()}
		if b.Replaces != nil {
			h := b.Replaces.Hash()
			op.Replaces = &h
		}
		c.proposeFor(n, r, op)
	case *wire.RecoverStart:
		op := &ledger.Charge{ID: b.Registration, Serial: b.Serial, Element: wire.NewElementDigest(b.Registration, &b.KE1)}
		c.proposeFor(c.commitFirst(n, r, op), r, op)
	case *wire.RecoverFinish:
		c.recoverFinish(n, r, b)
	case *wire.Delete:
		op := &ledger.Delete{ID: b.Registration}
		if b.Proof != nil {
			h := b.Proof.Hash()
			op.Proof = &h
		}
		c.proposeFor(n, r, op)
	case *wire.PutFreshness:
		c.proposeFor(n, r, &ledger.PutFreshness{ID: b.Registration, Manage: b.Manage.Hash(), Freshness: b.Freshness})
	}
}

func (c *Core) proposeFor(n uint64, r *request, op ledger.Op) {
	switch err := r.part.propose(n, r.account, op); {
	case errors.Is(err, raft.ErrProposalDropped):
		c.answer(n, overloaded())
	case err != nil:
		c.refuse(n, wire.CodeUnavailable)
	}
}

// read is a Status that may be answered when everything up to an index is applied: this core still led when it was asked.
type read struct{ request, index uint64 }

func readOf(r raft.ReadState) read { return read{binary.BigEndian.Uint64(r.RequestCtx), r.Index} }

func (p *partition) answerReads() {
	for len(p.reads) > 0 && p.reads[0].index <= p.applied {
		n := p.reads[0].request
		p.reads = p.reads[1:]
		r := p.c.requests[n]
		if r == nil {
			continue
		}
		a, err := p.account(r.account)
		if err != nil {
			p.c.refuse(n, wire.CodeUnavailable)
			continue
		}
		p.c.answer(n, ledger.Status(p.now, a))
	}
}

// account returns an account as it is applied; a new one if it never was.
func (p *partition) account(id wire.AccountID) (*ledger.Account, error) {
	return ledger.Decode(p.ledger.list[p.c.identity.bucketOf(id)].get(id))
}

// committed goes on with a request whose command is committed and applied.
func (c *Core) committed(n uint64, out ledger.Outcome) {
	r := c.requests[n]
	if r == nil {
		return
	}
	switch {
	case out.Refusal != nil:
		c.answer(n, out.Refusal)
	case out.Charged != nil:
		c.evaluate(n, r, out.Charged)
	case out.Proved != nil:
		c.recovered(n, r, out.Proved)
	default:
		c.answer(n, answerOf(out))
	}
}

// answerOf returns what an outcome that needs no more work says to the client.
func answerOf(out ledger.Outcome) wire.Body {
	switch {
	case out.Registered != nil:
		return out.Registered
	case out.Confirmed != nil:
		return out.Confirmed
	case out.Deleted != nil:
		return out.Deleted
	case out.FreshnessPut != nil:
		return out.FreshnessPut
	}
	panic("core: an outcome without an answer") // Expire has no request
}
