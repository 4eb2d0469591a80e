// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// Two incarnations get a session by three messages, in the pattern of SIGMA (Krawczyk 2003), as TLS 1.3 uses it, with HPKE in the
// place of Diffie-Hellman:
//
//	Hello    initiator -> responder   introduction, a fresh HPKE public key (ML-KEM-768 with X25519)
//	Accept   responder -> initiator   introduction, an encapsulation to that key, a signature over all of it
//	Finish   initiator -> responder   a signature over all of it
//
// The session's secret is exported from the HPKE context, whose keys are forgotten: who later opens a core reads no earlier session. Signatures
// are of the incarnations' keys, over a hash of both introductions and both key shares, each under a domain of its own, so
// that neither can be reflected or used for another session. Introductions are certified by the fleet.
//
// Messages may be lost, doubled and re-ordered: an initiator that hears nothing begins anew.
var (
	kem  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

const (
	sharePublic = 1184 + 32 // bytes of a fresh public key
	shareEnc    = 1088 + 32 // and of an encapsulation to it
)

// What the first byte of a peer's message says.
const (
	peerHello       = 1
	peerAccept      = 2
	peerFinish      = 3
	peerFrame       = 4
	peerJoin        = 5 // from a core that is not in the fleet yet
	peerJoinAnswer  = 6
	peerVersion     = 1
	handshakeIDSize = 8
)

type handshakeID [handshakeIDSize]byte

// handshake is one that waits for the other side: at the initiator for Accept, at the responder for Finish.
type handshake struct {
	id      handshakeID
	to      Slot // the initiator's goal; at the responder the host that the Hello came from
	private hpke.PrivateKey
	hello   []byte
	at      uint64 // elapsed

	accepted *link  // of the responder, good when Finish comes
	finish   []byte // what its signature must be over
	peer     ed25519.PublicKey
}

// hello begins a handshake with a slot.
func (c *Core) hello(to Slot) (*handshake, error) {
	seed := c.entropy.bytes32()
	private, err := kem.DeriveKeyPair(seed[:])
	if err != nil {
		return nil, err
	}
	h := &handshake{to: to, private: private, at: c.elapsed}
	c.entropy.fill(h.id[:])
	var b cryptobyte.Builder
	b.AddUint8(peerHello)
	b.AddUint8(peerVersion)
	b.AddBytes(h.id[:])
	c.place.introduce().add(&b)
	b.AddBytes(private.PublicKey().Bytes())
	h.hello = b.BytesOrPanic()
	return h, nil
}

const helloSize = 2 + handshakeIDSize + introductionSize + sharePublic

// accept answers a Hello. The session begins when the Finish is there.
func (c *Core) accept(hello []byte) (h *handshake, answer []byte, ok bool) {
	if len(hello) != helloSize || hello[1] != peerVersion {
		return nil, nil, false
	}
	s := cryptobyte.String(hello[2:])
	var n introduction
	h = &handshake{at: c.elapsed}
	if !s.CopyBytes(h.id[:]) || !n.read(&s) || !c.trusts(&n) {
		return nil, nil, false
	}
	public, err := kem.NewPublicKey(s)
	if err != nil {
		return nil, nil, false
	}
	enc, sender, err := hpke.NewSender(public, kdf, aead, []byte(wire.DomainSession))
	if err != nil {
		return nil, nil, false
	}
	secret, err := sender.Export(wire.DomainSessionKey, 32)
	if err != nil {
		return nil, nil, false
	}
	var b cryptobyte.Builder
	b.AddUint8(peerAccept)
	b.AddUint8(peerVersion)
	b.AddBytes(h.id[:])
	c.place.introduce().add(&b)
	b.AddBytes(enc)
	answer = b.BytesOrPanic()
	hash := transcript(hello, answer)
	answer = append(answer, ed25519.Sign(c.place.key, signed(wire.DomainAccept, hash))...)
	h.accepted = newLink(&n, h.id, secret, hash, false)
	h.finish, h.peer = signed(wire.DomainFinish, hash), bytes.Clone(n.incarnation[:])
	return h, answer, true
}

const acceptSize = 2 + handshakeIDSize + introductionSize + shareEnc + ed25519.SignatureSize

// finish takes an Accept for a handshake that this core began.
func (c *Core) finish(h *handshake, accept []byte) (l *link, answer []byte, ok bool) {
	if len(accept) != acceptSize || accept[1] != peerVersion {
		return nil, nil, false
	}
	text, signature := accept[:acceptSize-ed25519.SignatureSize], accept[acceptSize-ed25519.SignatureSize:]
	s := cryptobyte.String(text[2+handshakeIDSize:])
	var n introduction
	if !n.read(&s) || n.slot != h.to || !c.trusts(&n) {
		return nil, nil, false
	}
	hash := transcript(h.hello, text)
	if !ed25519.Verify(n.incarnation[:], signed(wire.DomainAccept, hash), signature) {
		return nil, nil, false
	}
	recipient, err := hpke.NewRecipient(s, h.private, kdf, aead, []byte(wire.DomainSession))
	if err != nil {
		return nil, nil, false
	}
	secret, err := recipient.Export(wire.DomainSessionKey, 32)
	if err != nil {
		return nil, nil, false
	}
	answer = append([]byte{peerFinish, peerVersion}, h.id[:]...)
	answer = append(answer, ed25519.Sign(c.place.key, signed(wire.DomainFinish, hash))...)
	return newLink(&n, h.id, secret, hash, true), answer, true
}

// finished tells whether a Finish ends a handshake that this core accepted.
func (h *handshake) finished(message []byte) bool {
	const head = 2 + handshakeIDSize
	return len(message) == head+ed25519.SignatureSize && message[1] == peerVersion && ed25519.Verify(h.peer, h.finish, message[head:])
}

// transcript is a hash of all that both sides said, but for the signatures. Both parts have a fixed length.
func transcript(hello, accept []byte) [32]byte {
	return sha256.Sum256(slices.Concat([]byte(wire.DomainSession), hello, accept))
}

func signed(domain string, hash [32]byte) []byte { return append([]byte(domain), hash[:]...) }

// trusts tells whether a core is one of the fleet's, as far as this one knows, and another than itself.
func (c *Core) trusts(n *introduction) bool {
	if !n.check(&c.identity) || n.incarnation == c.place.incarnation {
		return false
	}
	return c.admits(n.slot, n.serial)
}

// admits tells whether there are sessions with a slot's holder of that serial. It has the slot, or may have got it after what this core knows; or it was removed or replaced,
// and is a member of a partition still: its vote may be needed to take it out.
func (c *Core) admits(n Slot, serial uint64) bool {
	if known := c.slot(n); known != nil && serial >= known.serial || serial > c.parts[0].applied {
		return true
	}
	return slices.ContainsFunc(c.parts, func(p *partition) bool {
		return slices.ContainsFunc(p.group.members, func(m member) bool { return m.slot == n && m.serial == serial })
	})
}
