// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Restart says how a fleet treats the boot of a core.
type Restart uint8

// The restart policies. The numbers are part of the protocol.
const (
	RestartMajority  Restart = 1 // a boot has no vote until the living majority admits it
	RestartCounter   Restart = 2 // and a planned stop of all is possible
	RestartTrustDisk Restart = 3 // a boot keeps its vote from disk: no protection against rewind
)

func (r Restart) String() string {
	switch r {
	case RestartMajority:
		return "majority"
	case RestartCounter:
		return "counter"
	case RestartTrustDisk:
		return "trust-disk"
	}
	return "unknown"
}

// Algorithm of a token key.
type Algorithm uint8

// The algorithms (RFC 8037, RFC 7518). The numbers are part of the protocol.
const (
	EdDSA Algorithm = 1 // Ed25519: 32 bytes
	ES256 Algorithm = 2 // P-256: 65 bytes, uncompressed
)

func (a Algorithm) String() string {
	switch a {
	case EdDSA:
		return "EdDSA"
	case ES256:
		return "ES256"
	}
	return "unknown"
}

// TokenKey is one of the issuer's keys.
type TokenKey struct {
	ID        string // kid, at most 128 bytes
	Algorithm Algorithm
	Public    []byte
}

// Policy is what a fleet promises and demands. Clients see it in the descriptor.
type Policy struct {
	Restart    Restart
	Partitions uint16 // 1..256

	Budget     uint8  // guesses before a registration is destroyed, 1..100
	CooldownMs uint64 // the wait after the fourth wrong guess in a row; each next one is four times as long, at most a week
	GraceMs    uint64 // how long a registration is retained without proof, at most a year
	PendingMs  uint64 // how long a registration waits for its confirmation, at most a day
	ProvableMs uint64 // how long the last guess stays provable, at most a day

	Issuer          string // of the tokens, at most 255 bytes, as the other texts
	CoreAudience    string
	GatewayAudience string
	TokenKeys       []TokenKey // 1 to 8, no two with one id
}

// DefaultPolicy is a policy that lacks only the issuer.
func DefaultPolicy() Policy {
	const minuteMs, dayMs = 60_000, 24 * 3600_000
	return Policy{
		Restart: RestartMajority, Partitions: 1,
		Budget: 10, CooldownMs: minuteMs, GraceMs: 30 * dayMs, PendingMs: 60 * minuteMs, ProvableMs: 10 * minuteMs,
	}
}

// Check reports what is wrong with a policy.
func (p *Policy) Check() error {
	const dayMs = 24 * 3600_000
	switch {
	case p.Restart < RestartMajority || p.Restart > RestartTrustDisk:
		return errors.New("policy: unknown restart policy")
	case p.Partitions < 1 || p.Partitions > 256:
		return errors.New("policy: partitions must be 1 to 256")
	case p.Budget < 1 || p.Budget > 100:
		return errors.New("policy: the budget must be 1 to 100 guesses")
	case p.CooldownMs > 7*dayMs || p.GraceMs > 366*dayMs || p.PendingMs > dayMs || p.ProvableMs > dayMs:
		return errors.New("policy: a time is too long")
	case len(p.TokenKeys) < 1 || len(p.TokenKeys) > maxTokenKeys:
		return fmt.Errorf("policy: there must be 1 to %d token keys", maxTokenKeys)
	}
	for _, text := range []string{p.Issuer, p.CoreAudience, p.GatewayAudience} {
		if text == "" || len(text) > maxText {
			return fmt.Errorf("policy: issuer and audiences must be 1 to %d bytes", maxText)
		}
	}
	if p.CoreAudience == p.GatewayAudience { // or the gateway could use a client's token at the core
		return errors.New("policy: core and gateway must have different audiences")
	}
	for i, k := range p.TokenKeys {
		size := map[Algorithm]int{EdDSA: 32, ES256: 65}[k.Algorithm]
		if k.ID == "" || len(k.ID) > maxKeyID || size == 0 || len(k.Public) != size {
			return fmt.Errorf("policy: token key %q is not valid", k.ID)
		}
		if slices.ContainsFunc(p.TokenKeys[:i], func(o TokenKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("policy: two token keys are called %q", k.ID)
		}
	}
	return nil
}

const (
	maxTokenKeys = 8
	maxText      = 255
	maxKeyID     = 128
)

func (p *Policy) add(b *cryptobyte.Builder) {
	b.AddUint8(uint8(p.Restart))
	b.AddUint16(p.Partitions)
	b.AddUint8(p.Budget)
	for _, ms := range []uint64{p.CooldownMs, p.GraceMs, p.PendingMs, p.ProvableMs} {
		b.AddUint64(ms)
	}
	for _, text := range []string{p.Issuer, p.CoreAudience, p.GatewayAudience} {
		addVector(b, []byte(text))
	}
	b.AddUint8(uint8(len(p.TokenKeys)))
	for _, k := range p.TokenKeys {
		addVector(b, []byte(k.ID))
		b.AddUint8(uint8(k.Algorithm))
		addVector(b, k.Public)
	}
}

func (p *Policy) read(r *reader) {
	p.Restart = Restart(r.uint8())
	p.Partitions = r.uint16()
	p.Budget = r.uint8()
	for _, ms := range []*uint64{&p.CooldownMs, &p.GraceMs, &p.PendingMs, &p.ProvableMs} {
		*ms = r.uint64()
	}
	for _, text := range []*string{&p.Issuer, &p.CoreAudience, &p.GatewayAudience} {
		*text = string(r.vector(maxText))
	}
	p.TokenKeys = make([]TokenKey, r.count(maxTokenKeys))
	for i := range p.TokenKeys {
		k := &p.TokenKeys[i]
		k.ID, k.Algorithm, k.Public = string(r.vector(maxKeyID)), Algorithm(r.uint8()), r.vector(65)
	}
	r.ok(p.Check() == nil)
}

// Append appends the policy's encoding.
func (p *Policy) Append(to []byte) []byte { return append(to, build(p.add)...) }

// ParsePolicy decodes and checks a policy.
func ParsePolicy(encoded []byte) (*Policy, error) {
	r := &reader{s: encoded}
	p := new(Policy)
	p.read(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	return p, nil
}

// Descriptor is a fleet's public identity, which clients pin.
type Descriptor struct {
	Fleet      FleetID
	Epoch      uint64 // rises when custodians start the fleet anew
	Tier       string // what seals the cores' state: "software", "pkcs11", "tpm2"; at most 255 bytes
	HPKE       [HPKEPublicSize]byte
	OPAQUE     [32]byte // the server's public key
	Generation uint8    // of the OPAQUE key
	Policy     Policy
}

func (d *Descriptor) add(b *cryptobyte.Builder) {
	b.AddUint8(Version)
	b.AddBytes(d.Fleet[:])
	b.AddUint64(d.Epoch)
	addVector(b, []byte(d.Tier))
	b.AddBytes(d.HPKE[:])
	b.AddBytes(d.OPAQUE[:])
	b.AddUint8(d.Generation)
	d.Policy.add(b)
}

// MaxDescriptor bounds a descriptor's encoding, in bytes.
const MaxDescriptor = 8192

// Append appends the descriptor's encoding.
func (d *Descriptor) Append(to []byte) []byte { return append(to, build(d.add)...) }

// ParseDescriptor decodes a descriptor and checks its policy and HPKE key.
func ParseDescriptor(encoded []byte) (*Descriptor, error) {
	if len(encoded) > MaxDescriptor {
		return nil, ErrMalformed
	}
	r := &reader{s: encoded}
	r.ok(r.uint8() == Version)
	d := new(Descriptor)
	r.fixed(d.Fleet[:])
	d.Epoch = r.uint64()
	d.Tier = string(r.vector(maxText))
	r.fixed(d.HPKE[:])
	r.fixed(d.OPAQUE[:])
	d.Generation = r.uint8()
	d.Policy.read(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	if _, err := kem.NewPublicKey(d.HPKE[:]); err != nil {
		return nil, ErrMalformed
	}
	return d, nil
}

// Fingerprint is what people compare: the whole descriptor's hash, 64 hexadecimal digits in groups of four.
func (d *Descriptor) Fingerprint() string {
	sum := digest(domainFingerprint, d.Append(nil))
	digits := hex.EncodeToString(sum[:])
	groups := make([]string, 0, 16)
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, " ")
}
