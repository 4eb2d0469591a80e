// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/ed25519"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// Incarnation names one boot of a core: the public key that it signs with, and that is never stored.
type Incarnation [ed25519.PublicKeySize]byte

// place is a replica's slot, and what proves that it may have it: a credential that the sealer keeps, certified by the fleet when the
// slot was given away, and under it a key for this boot alone.
type place struct {
	slot   Slot
	serial uint64 // index of the entry of partition 0 that gave the slot away
	seed   [32]byte
	cert   [ed25519.SignatureSize]byte // the fleet's, of the credential

	bootSeed    [32]byte           // of this boot's key
	key         ed25519.PrivateKey // of this boot
	incarnation Incarnation
	proof       [ed25519.SignatureSize]byte // the credential's, of this boot's key
}

// certKey signs credentials. Every core of a fleet has it.
type certKey struct{ private ed25519.PrivateKey }

func newCertKey(seed [32]byte) certKey { return certKey{ed25519.NewKeyFromSeed(seed[:])} }

func newPlace(seed [32]byte) place { return place{seed: seed} }

func (p *place) credential() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(p.seed[:]) }

func (p *place) credentialPublic() (public [32]byte) {
	copy(public[:], p.credential().Public().(ed25519.PublicKey))
	return public
}

// take gives a place its slot: this core has the fleet's secret, and so may certify itself.
func (p *place) take(i *identity, s Slot, serial uint64, boot [32]byte) {
	p.slot, p.serial = s, serial
	copy(p.cert[:], i.certs.certify(i.fleet, s, serial, p.credentialPublic()))
	p.boot(i, boot)
}

// boot makes the key of this boot from a fresh seed.
func (p *place) boot(i *identity, seed [32]byte) {
	p.bootSeed = seed
	p.key = ed25519.NewKeyFromSeed(seed[:])
	copy(p.incarnation[:], p.key.Public().(ed25519.PublicKey))
	copy(p.proof[:], ed25519.Sign(p.credential(), incarnationText(i.fleet, p.slot, p.serial, p.incarnation)))
}

func (p *place) add(b *cryptobyte.Builder) {
	b.AddUint16(uint16(p.slot))
	b.AddUint64(p.serial)
	b.AddBytes(p.seed[:])
	b.AddBytes(p.cert[:])
}

func (p *place) read(s *cryptobyte.String) bool {
	return s.ReadUint16((*uint16)(&p.slot)) && s.ReadUint64(&p.serial) && s.CopyBytes(p.seed[:]) && s.CopyBytes(p.cert[:])
}

// certify signs a slot's credential.
func (k certKey) certify(fleet wire.FleetID, s Slot, serial uint64, credential [32]byte) []byte {
	return ed25519.Sign(k.private, credentialText(fleet, s, serial, credential))
}

func credentialText(fleet wire.FleetID, s Slot, serial uint64, credential [32]byte) []byte {
	return placeText(wire.DomainCredential, fleet, s, serial, credential)
}

func incarnationText(fleet wire.FleetID, s Slot, serial uint64, i Incarnation) []byte {
	return placeText(wire.DomainIncarnation, fleet, s, serial, i)
}

func placeText(domain string, fleet wire.FleetID, s Slot, serial uint64, key [32]byte) []byte {
	text := append([]byte(domain), fleet[:]...)
	text = binary.BigEndian.AppendUint16(text, uint16(s))
	return append(binary.BigEndian.AppendUint64(text, serial), key[:]...)
}

// introduction is what a core shows of itself to a peer.
type introduction struct {
	slot        Slot
	serial      uint64
	credential  [32]byte
	cert        [ed25519.SignatureSize]byte
	incarnation Incarnation
	proof       [ed25519.SignatureSize]byte
}

const introductionSize = 2 + 8 + 32 + ed25519.SignatureSize + 32 + ed25519.SignatureSize

func (p *place) introduce() *introduction {
	return &introduction{p.slot, p.serial, p.credentialPublic(), p.cert, p.incarnation, p.proof}
}

func (n *introduction) add(b *cryptobyte.Builder) {
	b.AddUint16(uint16(n.slot))
	b.AddUint64(n.serial)
	b.AddBytes(n.credential[:])
	b.AddBytes(n.cert[:])
	b.AddBytes(n.incarnation[:])
	b.AddBytes(n.proof[:])
}

func (n *introduction) read(s *cryptobyte.String) bool {
	return s.ReadUint16((*uint16)(&n.slot)) && s.ReadUint64(&n.serial) && s.CopyBytes(n.credential[:]) && s.CopyBytes(n.cert[:]) &&
		s.CopyBytes(n.incarnation[:]) && s.CopyBytes(n.proof[:])
}

// check tells whether the fleet gave the slot to the credential, and the credential stands for the incarnation.
func (n *introduction) check(i *identity) bool {
	fleet := i.certs.private.Public().(ed25519.PublicKey)
	return n.slot != 0 && n.slot < FirstStranger &&
		ed25519.Verify(fleet, credentialText(i.fleet, n.slot, n.serial, n.credential), n.cert[:]) &&
		ed25519.Verify(n.credential[:], incarnationText(i.fleet, n.slot, n.serial, n.incarnation), n.proof[:])
}
