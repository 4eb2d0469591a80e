// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
)

// A specPolicy is a policy in its parts, so that each can be made wrong.
type specPolicy struct {
	restart    byte
	partitions uint16
	budget     byte
	times      [4]uint64 // cooldown, grace, pending, provable
	texts      [3]string // issuer, the core's audience, the gateway's
	keys       [][]byte
	keyCount   int // 0: as many as keys
}

const specDay = 24 * 3600_000

func newSpecPolicy() *specPolicy {
	return &specPolicy{
		restart: 1, partitions: 256, budget: 10, times: [4]uint64{60_000, 30 * specDay, 3600_000, 600_000},
		texts: [3]string{"https://issuer.example", "core", "gateway"},
		keys:  [][]byte{specTokenKey("key 1", 1, 32), specTokenKey("key 2", 2, 65)},
	}
}

func specTokenKey(id string, algorithm byte, size int) []byte {
	return cat(vec(id), []byte{algorithm}, vec(long(id, size)))
}

func (p *specPolicy) encode() []byte {
	b := cat([]byte{p.restart}, be16(p.partitions), []byte{p.budget})
	for _, ms := range p.times {
		b = append(b, be64(ms)...)
	}
	for _, text := range p.texts {
		b = append(b, vec(text)...)
	}
	n := p.keyCount
	if n == 0 {
		n = len(p.keys)
	}
	return cat(b, []byte{byte(n)}, cat(p.keys...))
}

// value is what the policy decodes to.
func (p *specPolicy) value() *Policy {
	v := &Policy{
		Restart: Restart(p.restart), Partitions: p.partitions, Budget: p.budget,
		CooldownMs: p.times[0], GraceMs: p.times[1], PendingMs: p.times[2], ProvableMs: p.times[3],
		Issuer: p.texts[0], CoreAudience: p.texts[1], GatewayAudience: p.texts[2],
	}
	for _, k := range p.keys {
		n := int(k[0])<<8 | int(k[1])
		v.TokenKeys = append(v.TokenKeys, TokenKey{string(k[2 : 2+n]), Algorithm(k[2+n]), k[5+n:]})
	}
	return v
}

func policyVectors() []*vector {
	s := vectorSet{base: map[string]string{"kind": "policy"}}
	good := func(name, comment string, change func(p *specPolicy)) {
		p := newSpecPolicy()
		change(p)
		s.good(name, comment, p.value(), p.encode())
	}
	bad := func(name, comment string, change func(p *specPolicy)) {
		p := newSpecPolicy()
		change(p)
		s.malformed(name, comment, p.encode())
	}
	text := strings.Repeat("t", 255)
	good("usual", "a policy", func(*specPolicy) {})
	good("counter", "the restart policy counter", func(p *specPolicy) { p.restart = 2 })
	good("least", "every number at its lower end", func(p *specPolicy) {
		*p = specPolicy{3, 1, 1, [4]uint64{}, [3]string{"i", "c", "g"}, [][]byte{specTokenKey("k", 1, 32)}, 0}
	})
	good("most", "every number at its upper end", func(p *specPolicy) {
		p.budget, p.times, p.texts = 100, [4]uint64{7 * specDay, 366 * specDay, specDay, specDay}, [3]string{text, text, text[1:]}
		p.keys = nil
		for i := range 8 {
			p.keys = append(p.keys, specTokenKey(strings.Repeat(string(rune('a'+i)), 128), 2, 65))
		}
	})

	bad("restart-0", "no restart policy", func(p *specPolicy) { p.restart = 0 })
	bad("restart-4", "an unknown restart policy", func(p *specPolicy) { p.restart = 4 })
	bad("partitions-0", "no partition", func(p *specPolicy) { p.partitions = 0 })
	bad("partitions-257", "257 partitions", func(p *specPolicy) { p.partitions = 257 })
	bad("budget-0", "no guess", func(p *specPolicy) { p.budget = 0 })
	bad("budget-101", "101 guesses", func(p *specPolicy) { p.budget = 101 })
	bad("cooldown", "a cooldown over a week", func(p *specPolicy) { p.times[0] = 7*specDay + 1 })
	bad("grace", "a grace period over 366 days", func(p *specPolicy) { p.times[1] = 366*specDay + 1 })
	bad("pending", "a registration may wait over a day", func(p *specPolicy) { p.times[2] = specDay + 1 })
	bad("provable", "the last guess is provable over a day", func(p *specPolicy) { p.times[3] = specDay + 1 })
	bad("issuer-empty", "no issuer", func(p *specPolicy) { p.texts[0] = "" })
	bad("issuer-256", "an issuer of 256 bytes", func(p *specPolicy) { p.texts[0] = text + "t" })
	bad("core-audience-empty", "no audience of the core", func(p *specPolicy) { p.texts[1] = "" })
	bad("core-audience-256", "an audience of the core of 256 bytes", func(p *specPolicy) { p.texts[1] = text + "t" })
	bad("gateway-audience-empty", "no audience of the gateway", func(p *specPolicy) { p.texts[2] = "" })
	bad("gateway-audience-256", "an audience of the gateway of 256 bytes", func(p *specPolicy) { p.texts[2] = text + "t" })
	bad("audiences-equal", "core and gateway have one audience", func(p *specPolicy) { p.texts[2] = p.texts[1] })
	bad("keys-0", "no token key", func(p *specPolicy) { p.keys = nil })
	bad("keys-9", "9 token keys", func(p *specPolicy) {
		p.keys = nil
		for i := range 9 {
			p.keys = append(p.keys, specTokenKey(string(rune('a'+i)), 1, 32))
		}
	})
	bad("keys-fewer", "a token key is missing", func(p *specPolicy) { p.keyCount = 3 })
	bad("keys-more", "a token key is left over", func(p *specPolicy) { p.keyCount = 1 })
	key := func(name, comment string, k []byte) {
		bad(name, comment, func(p *specPolicy) { p.keys[1] = k })
	}
	key("key-id-empty", "a token key without an id", specTokenKey("", 1, 32))
	key("key-id-129", "a token key with an id of 129 bytes", specTokenKey(text[:129], 1, 32))
	key("key-id-twice", "two token keys with one id", specTokenKey("key 1", 2, 65))
	key("key-algorithm-0", "a token key without an algorithm", specTokenKey("key 2", 0, 32))
	key("key-algorithm-3", "a token key with an unknown algorithm", specTokenKey("key 2", 3, 32))
	key("key-eddsa-65", "an Ed25519 key of 65 bytes", specTokenKey("key 2", 1, 65))
	key("key-es256-32", "a P-256 key of 32 bytes", specTokenKey("key 2", 2, 32))
	key("key-66", "a key of 66 bytes", specTokenKey("key 2", 2, 66))
	bad("cut", "the last byte is missing", func(p *specPolicy) { p.keys[1] = p.keys[1][:len(p.keys[1])-1] })
	bad("more", "a byte is left over", func(p *specPolicy) { p.keys[1] = append(p.keys[1], 0) })
	s.malformed("empty", "nothing", nil)
	return s.all
}
