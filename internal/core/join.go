// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// A replica joins with a ticket that an operator had a core of the fleet make: it names a slot, is good once and for a day, and has a
// secret, of which the log has the hash. The joining core sends the secret and the credential that it made for the slot, sealed to the fleet's key
// for that; the leader of partition 0 gives the slot away by an entry of the log, and then answers, under a key of the same HPKE context, with
// the fleet's secret. Evidence of what kind of core asks is not demanded yet: with a software sealer there is none.
type joining struct {
	ticket *joinTicket
	first  NewEpoch
	at     uint64                 // elapsed when they were asked last
	noted  bool                   // the operator was told that nobody answers
	asked  map[handshakeID][]byte // what opens the answers
	order  []handshakeID
}

// joinKey opens requests to join.
type joinKey struct{ private hpke.PrivateKey }

func newJoinKey(seed [32]byte) (joinKey, error) {
	private, err := kem.DeriveKeyPair(seed[:])
	return joinKey{private}, err
}

// joinTicket is what an operator carries from a replica of the fleet to the new one.
type joinTicket struct {
	fleet   wire.FleetID
	slot    Slot
	secret  [32]byte
	key     []byte // the fleet's, for requests to join: sharePublic bytes
	members []Member
}

const (
	joinTicketV1 = 1
	inviteMs     = 24 * 3600_000
	joinAgainMs  = 200
	joinNoteMs   = 20_000
	maxAsked     = 16
)

var errTicket = errors.New("this is not a join ticket, or one of another version, or it is damaged")

func (t *joinTicket) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint8(joinTicketV1)
	b.AddBytes(t.fleet[:])
	b.AddUint16(uint16(t.slot))
	b.AddBytes(t.secret[:])
	b.AddBytes(t.key)
	b.AddUint8(uint8(len(t.members)))
	for _, m := range t.members {
		b.AddUint16(uint16(m.Slot))
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Host) })
	}
	return b.BytesOrPanic()
}

func decodeTicket(encoded []byte) (*joinTicket, error) {
	t, s := new(joinTicket), cryptobyte.String(encoded)
	var version, count uint8
	ok := len(encoded) <= MaxTicket && s.ReadUint8(&version) && version == joinTicketV1 && s.CopyBytes(t.fleet[:]) &&
		s.ReadUint16((*uint16)(&t.slot)) && s.CopyBytes(t.secret[:]) && s.ReadBytes(&t.key, sharePublic) && s.ReadUint8(&count) && count <= maxSlots
	for range count {
		var m Member
		var host cryptobyte.String
		ok = ok && s.ReadUint16((*uint16)(&m.Slot)) && s.ReadUint16LengthPrefixed(&host) && len(host) <= MaxHostInfo
		m.Host = bytes.Clone(host)
		t.members = append(t.members, m)
	}
	if !ok || !s.Empty() || len(t.members) == 0 || t.slot == 0 || t.slot >= FirstStranger {
		return nil, errTicket
	}
	return t, nil
}

func ticketHash(secret [32]byte) [32]byte {
	return sha256.Sum256(append([]byte(wire.DomainJoinTicket), secret[:]...))
}

// Join makes the core of a replica that joins a fleet with a ticket. It stores nothing before the fleet has taken it in.
func Join(config Config, ticket, host []byte, first NewEpoch) (*Core, []Effect, error) {
	t, err := decodeTicket(ticket)
	if err != nil {
		return nil, nil, err
	}
	c := newCore(config, host)
	c.place = newPlace(c.entropy.bytes32())
	c.joining = &joining{ticket: t, first: first, asked: map[handshakeID][]byte{}}
	c.emit(Peers{t.members})
	effects, err := c.Step()
	return c, effects, err
}

// tickJoin asks every member of the ticket, again and again: the one that leads answers.
func (c *Core) tickJoin() {
	j := c.joining
	if j == nil || c.stopping || j.at != 0 && c.elapsed < j.at+joinAgainMs {
		return
	}
	j.at = max(c.elapsed, 1)
	if !j.noted && c.elapsed >= joinNoteMs {
		j.noted = true
		c.note("no replica of the fleet has taken this one in yet: either none is reached, or none leads, or the ticket was used, replaced or has expired")
	}
	public, err := kem.NewPublicKey(j.ticket.key)
	if err != nil {
		return
	}
	enc, sender, err := hpke.NewSender(public, kdf, aead, joinInfo(j.ticket.fleet))
	if err != nil {
		return
	}
	var id handshakeID
	c.entropy.fill(id[:])
	head := append([]byte{peerJoin, peerVersion}, id[:]...)
	credential := c.place.credentialPublic()
	var b cryptobyte.Builder
	b.AddUint16(uint16(j.ticket.slot))
	b.AddBytes(j.ticket.secret[:])
	b.AddBytes(credential[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.host) })
	sealed, err := sender.Seal(head, b.BytesOrPanic())
	if err != nil {
		return
	}
	key, err := sender.Export(wire.DomainJoinAnswer, 32)
	if err != nil {
		return
	}
	if j.order = append(j.order, id); len(j.order) > maxAsked {
		delete(j.asked, j.order[0])
		j.order = j.order[1:]
	}
	j.asked[id] = key
	for _, m := range j.ticket.members {
		c.emit(Send{m.Slot, slices.Concat(head, enc, sealed)})
	}
}

func joinInfo(fleet wire.FleetID) []byte { return append([]byte(wire.DomainJoin), fleet[:]...) }

// takeJoin takes a request to join, at the leader of partition 0.
func (c *Core) takeJoin(in Peer) {
	const head = 2 + handshakeIDSize
	p := c.parts[0]
	if !p.ready || len(in.Data) < head+shareEnc || !c.peers.mayAnswer(in.Slot) {
		return
	}
	recipient, err := hpke.NewRecipient(in.Data[head:head+shareEnc], c.identity.join.private, kdf, aead, joinInfo(c.identity.fleet))
	if err != nil {
		return
	}
	plain, err := recipient.Open(in.Data[:head], in.Data[head+shareEnc:])
	if err != nil {
		return
	}
	s := cryptobyte.String(plain)
	m := &change{kind: changeJoin}
	var secret [32]byte
	var host cryptobyte.String
	if !s.ReadUint16((*uint16)(&m.slot)) || !s.CopyBytes(secret[:]) || !s.CopyBytes(m.credential[:]) ||
		!s.ReadUint16LengthPrefixed(&host) || len(host) > MaxHostInfo || !s.Empty() {
		return
	}
	m.host, m.ticket = bytes.Clone(host), ticketHash(secret)
	if got := p.group.slot(m.slot); got != nil && got.credential == m.credential && subtle.ConstantTimeCompare(got.ticket[:], m.ticket[:]) == 1 {
		c.answerJoin(in, recipient, got)
		return
	}
	for _, v := range p.group.invites {
		if v.slot == m.slot && v.expires > p.now && subtle.ConstantTimeCompare(v.ticket[:], m.ticket[:]) == 1 && c.elapsed >= p.proposed.until {
			p.proposed.until = c.elapsed + proposeMs // it asks again, and finds that it has the slot
			_ = p.proposeChange(0, m)
		}
	}
}

// answerJoin gives a slot's holder what it needs to be one.
func (c *Core) answerJoin(in Peer, recipient *hpke.Recipient, s *slot) {
	key, err := recipient.Export(wire.DomainJoinAnswer, 32)
	if err != nil {
		return
	}
	i := &c.identity
	m := manifest{fleet: i.fleet, secret: i.secret, epoch: i.epoch, generation: i.generation, policy: i.policy}
	var b cryptobyte.Builder
	m.addIdentity(&b)
	b.AddUint64(s.serial)
	g := group{conf: newGroup().conf, slots: c.parts[0].group.slots}
	g.add(&b)
	plain := b.BytesOrPanic()
	defer clear(plain)
	head := append([]byte{peerJoinAnswer, peerVersion}, in.Data[2:2+handshakeIDSize]...)
	// Each context is of one request and seals one answer, but for a request that is sent again: then it is the same answer or a later one,
	// so the nonce is random.
	c.emit(Send{in.Slot, append(head, c.seal(newGCM([32]byte(key)), plain, head)...)})
}

// joined takes the fleet's answer: from now on this is a replica of it, without a vote yet.
func (c *Core) joined(answer []byte) error {
	const head = 2 + handshakeIDSize
	j := c.joining
	if j == nil {
		return nil
	}
	key, ok := j.asked[handshakeID(answer[2:])]
	if !ok {
		return nil
	}
	plain, err := unseal(newGCM([32]byte(key)), answer[head:], answer[:head])
	if err != nil {
		return nil
	}
	defer clear(plain)
	s := cryptobyte.String(plain)
	var m manifest
	var serial uint64
	var g group
	if !m.readIdentity(&s) || !s.ReadUint64(&serial) || !g.read(&s) || !s.Empty() || m.fleet != j.ticket.fleet {
		return nil
	}
	c.identity = identity{fleet: m.fleet, secret: m.secret, epoch: m.epoch, generation: m.generation, policy: m.policy}
	if err := c.identity.derive(); err != nil {
		return err
	}
	c.place.take(&c.identity, j.ticket.slot, serial, c.entropy.bytes32())
	for n := range m.policy.Partitions {
		c.parts = append(c.parts, newPartition(c, wire.Partition(n)))
	}
	c.parts[0].group.slots = g.slots
	c.epoch = newEpochKey(1, j.first.KeyID, j.first.Sealed, j.first.Key)
	c.joining = nil
	clear(j.first.Key[:])
	manifest := c.manifestRecord(c.newManifest(c.marks()))
	c.manifest = manifestMark{epoch: c.epoch, digest: sha256.Sum256(manifest.Value)}
	c.persist(Persist{Puts: []Record{manifest}}, unsynced{})
	return nil
}
