// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"strings"
)

var (
	specSeed  = named("fleet seed")
	specFleet = named("fleet")[:16]
	fleetKey  = newSpecKey(specSeed)
)

// specDescriptor is a descriptor in its parts.
func specDescriptor(version byte, tier string, hpke, policy []byte) []byte {
	return cat([]byte{version}, specFleet, be64(2), vec(tier), hpke, named("OPAQUE"), []byte{1}, policy)
}

func descriptorVectors() []*vector {
	s := vectorSet{base: map[string]string{"kind": "descriptor"}}
	policy, public := newSpecPolicy(), fleetKey.public()
	good := func(name, comment, tier string) {
		body := specDescriptor(1, tier, public, policy.encode())
		s.good(name, comment, struct {
			*Descriptor
			Fingerprint string
		}{
			&Descriptor{FleetID(specFleet), 2, tier, [1216]byte(public), [32]byte(named("OPAQUE")), 1, *policy.value()}, specFingerprint(body),
		}, body)
	}
	good("software", "a fleet sealed by software", "software")
	good("tier-empty", "a fleet that says nothing about its tier", "")
	good("tier-longest", "a tier of 255 bytes", strings.Repeat("t", 255))
	body := specDescriptor(1, "software", public, policy.encode())
	s.malformed("empty", "nothing", nil)
	s.malformed("version-0", "version 0", specDescriptor(0, "software", public, policy.encode()))
	s.malformed("version-2", "version 2", specDescriptor(2, "software", public, policy.encode()))
	s.malformed("tier-256", "a tier of 256 bytes", specDescriptor(1, strings.Repeat("t", 256), public, policy.encode()))
	s.malformed("hpke-modulus", "a coefficient of the ML-KEM key is not below the modulus", specDescriptor(1, "software", with(public, 0, 0xff, 0xff), policy.encode()))
	s.malformed("hpke-cut", "the HPKE key has a byte less", specDescriptor(1, "software", public[:1215], policy.encode()))
	p := newSpecPolicy()
	p.budget = 0
	s.malformed("policy", "a policy that is not valid", specDescriptor(1, "software", public, p.encode()))
	s.malformed("cut", "the last byte is missing", body[:len(body)-1])
	s.malformed("more", "a byte is left over", cat(body, []byte{0}))
	s.malformed("long", "8,193 bytes", cat(body, make([]byte, 8193-len(body))))
	return s.all
}

// specFingerprint is the hash in groups of four digits.
func specFingerprint(descriptor []byte) string {
	digits := hex.EncodeToString(specHash("coffer/v1/fingerprint", descriptor))
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
