// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"slices"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// evaluate has a guess evaluated. It takes a Charged, which only the application of a committed charge makes: no
// guess is evaluated before it is counted (INV-COMMIT).
func (c *Core) evaluate(n uint64, r *request, charged *ledger.Charged) {
	start := r.body.(*wire.RecoverStart)
	r.charged = charged
	c.observe(Evaluating{r.part.number, r.account, charged, wire.NewElementDigest(charged.Registration(), &start.KE1)})
	random := c.loginEntropy(r.account, charged, &start.KE1)
	c.emit(Run{n, &ke2Job{
		identity: &c.identity, charged: charged, account: r.account, ke1: start.KE1,
		nonce: random.bytes32(), maskingNonce: random.bytes32(), keyShareSeed: random.bytes32(),
	}})
}

// loginEntropy is random, and yet the same for the same guess: while this core lives, a host that sends a client's request again, as often
// as it likes, has the same KE2 and the same login made, and disturbs nothing.
func (c *Core) loginEntropy(account wire.AccountID, charged *ledger.Charged, ke1 *[wire.KE1Size]byte) entropy {
	id := charged.Registration()
	info := slices.Concat(account[:], id[:], binary.BigEndian.AppendUint64(nil, uint64(charged.Serial())), ke1[:])
	return newEntropy(wire.DeriveKey(c.loginSecret[:], wire.DomainLogin, info))
}

// recoverStarted answers a guess, and keeps the login for its proof.
func (c *Core) recoverStarted(n uint64, r *request, k *ke2) {
	if k.refusal != nil {
		c.answer(n, k.refusal)
		return
	}
	g := r.charged
	c.sessions.put(r.account, &session{g.Registration(), g.Serial(), k.session, c.elapsed + sessionMs}, c.elapsed)
	c.answer(n, &wire.RecoverStarted{
		KE2: k.message, KSF: g.KSF(), GuessesLeft: g.GuessesLeft(), LockedForMs: g.LockedForMs(), Repeated: g.Repeated(),
	})
}

// recoverFinish checks the proof of a guess. The refill is committed before K leaves the core.
func (c *Core) recoverFinish(n uint64, r *request, b *wire.RecoverFinish) {
	s := c.sessions.get(r.account, c.elapsed)
	if s == nil || s.registration != b.Registration || s.serial != b.Serial {
		c.refuse(n, wire.CodeSession)
		return
	}
	if s.server.Finish(b.KE3[:]) != nil {
		c.refuse(n, wire.CodeProof)
		return
	}
	r.session = s
	c.proposeFor(n, r, &ledger.Prove{ID: b.Registration, Serial: b.Serial})
}

// recovered hands out the sealed K, under the session key that only who knows the password has.
func (c *Core) recovered(n uint64, r *request, p *ledger.Proved) {
	key := wire.DeriveKey(r.session.server.SessionKey[:], wire.DomainDelivery, r.session.registration[:])
	defer clear(key[:])
	answer := &wire.RecoverFinished{GuessesLeft: p.GuessesLeft, Freshness: p.Freshness}
	// A session delivers one value only, so the nonce may be fixed.
	newGCM(key).Seal(answer.Key[:0], make([]byte, 12), p.SealedKey[:], nil)
	c.answer(n, answer)
}

// A session is a login between KE2 and KE3. It lives in the leader's memory alone.
type session struct {
	registration wire.RegistrationID
	serial       wire.Serial
	server       opaque.ServerSession
	expires      uint64 // by the core's elapsed time
}

// sessions holds the last login of each account, for ten minutes. When there are too many the oldest goes.
type sessions struct {
	byAccount map[wire.AccountID]*session
	order     []begun // as they were begun; those that were replaced are in it, too
}

type begun struct {
	account wire.AccountID
	session *session
}

func (s *sessions) put(id wire.AccountID, new *session, now uint64) {
	s.byAccount[id] = new
	s.order = append(s.order, begun{id, new})
	for len(s.order) > maxSessions || s.order[0].session.expires <= now {
		oldest := s.order[0]
		s.order = s.order[1:]
		if s.byAccount[oldest.account] == oldest.session {
			delete(s.byAccount, oldest.account)
		}
	}
}

func (s *sessions) get(id wire.AccountID, now uint64) *session {
	if found := s.byAccount[id]; found != nil && now < found.expires {
		return found
	}
	return nil
}
