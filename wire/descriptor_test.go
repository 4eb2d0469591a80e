// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func aPolicy() *Policy { return newSpecPolicy().value() }

func TestDefaultPolicyLacksOnlyTheIssuer(t *testing.T) {
	p := DefaultPolicy()
	if p.Check() == nil {
		t.Error("a policy without an issuer is accepted")
	}
	good := aPolicy()
	p.Issuer, p.CoreAudience, p.GatewayAudience, p.TokenKeys = good.Issuer, good.CoreAudience, good.GatewayAudience, good.TokenKeys
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

// Each bound once, on the side of who makes a policy. The vectors have them on the side of who reads one.
func TestPolicyBounds(t *testing.T) {
	const day = 24 * 3600_000
	long := strings.Repeat("t", 256)
	for name, violate := range map[string]func(p *Policy){
		"restart 0":                func(p *Policy) { p.Restart = 0 },
		"restart 4":                func(p *Policy) { p.Restart = 4 },
		"partitions 0":             func(p *Policy) { p.Partitions = 0 },
		"partitions 257":           func(p *Policy) { p.Partitions = 257 },
		"budget 0":                 func(p *Policy) { p.Budget = 0 },
		"budget 101":               func(p *Policy) { p.Budget = 101 },
		"cooldown":                 func(p *Policy) { p.CooldownMs = 7*day + 1 },
		"grace":                    func(p *Policy) { p.GraceMs = 366*day + 1 },
		"pending":                  func(p *Policy) { p.PendingMs = day + 1 },
		"provable":                 func(p *Policy) { p.ProvableMs = day + 1 },
		"no issuer":                func(p *Policy) { p.Issuer = "" },
		"long issuer":              func(p *Policy) { p.Issuer = long },
		"no core audience":         func(p *Policy) { p.CoreAudience = "" },
		"long core audience":       func(p *Policy) { p.CoreAudience = long },
		"no gateway audience":      func(p *Policy) { p.GatewayAudience = "" },
		"long gateway audience":    func(p *Policy) { p.GatewayAudience = long },
		"one audience":             func(p *Policy) { p.GatewayAudience = p.CoreAudience },
		"no token key":             func(p *Policy) { p.TokenKeys = nil },
		"9 token keys":             func(p *Policy) { p.TokenKeys = slices.Repeat(p.TokenKeys[:1], 9) },
		"token key without an id":  func(p *Policy) { p.TokenKeys[0].ID = "" },
		"token key's long id":      func(p *Policy) { p.TokenKeys[0].ID = long[:129] },
		"token key's id twice":     func(p *Policy) { p.TokenKeys[1].ID = p.TokenKeys[0].ID },
		"unknown algorithm":        func(p *Policy) { p.TokenKeys[0].Algorithm = 3 },
		"Ed25519 key of 31 bytes":  func(p *Policy) { p.TokenKeys[0].Public = p.TokenKeys[0].Public[:31] },
		"P-256 key, compressed":    func(p *Policy) { p.TokenKeys[1].Public = p.TokenKeys[1].Public[:33] },
		"P-256 key named Ed25519":  func(p *Policy) { p.TokenKeys[1].Algorithm = EdDSA },
		"Ed25519 key named P-256":  func(p *Policy) { p.TokenKeys[0].Algorithm = ES256 },
		"token key without a byte": func(p *Policy) { p.TokenKeys[0].Public = nil },
	} {
		p := aPolicy()
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		violate(p)
		if err := p.Check(); err == nil || !strings.HasPrefix(err.Error(), "policy: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever changes in a descriptor shows in its fingerprint.
func TestFingerprint(t *testing.T) {
	changes := map[string]func(d *Descriptor){
		"":               func(*Descriptor) {},
		"fleet":          func(d *Descriptor) { d.Fleet[15] ^= 1 },
		"epoch":          func(d *Descriptor) { d.Epoch++ },
		"tier":           func(d *Descriptor) { d.Tier = "tpm2" },
		"HPKE":           func(d *Descriptor) { d.HPKE = [HPKEPublicSize]byte(newSpecKey(named("other")).public()) },
		"OPAQUE":         func(d *Descriptor) { d.OPAQUE[0] ^= 1 },
		"generation":     func(d *Descriptor) { d.Generation++ },
		"restart":        func(d *Descriptor) { d.Policy.Restart = RestartTrustDisk },
		"partitions":     func(d *Descriptor) { d.Policy.Partitions-- },
		"budget":         func(d *Descriptor) { d.Policy.Budget++ },
		"cooldown":       func(d *Descriptor) { d.Policy.CooldownMs++ },
		"grace":          func(d *Descriptor) { d.Policy.GraceMs++ },
		"pending":        func(d *Descriptor) { d.Policy.PendingMs++ },
		"provable":       func(d *Descriptor) { d.Policy.ProvableMs++ },
		"issuer":         func(d *Descriptor) { d.Policy.Issuer += "x" },
		"core":           func(d *Descriptor) { d.Policy.CoreAudience += "x" },
		"gateway":        func(d *Descriptor) { d.Policy.GatewayAudience += "x" },
		"key removed":    func(d *Descriptor) { d.Policy.TokenKeys = d.Policy.TokenKeys[:1] },
		"keys exchanged": func(d *Descriptor) { slices.Reverse(d.Policy.TokenKeys) },
		"key's id":       func(d *Descriptor) { d.Policy.TokenKeys[0].ID += "x" },
		"key's bytes":    func(d *Descriptor) { d.Policy.TokenKeys[1].Public[64] ^= 1 },
		"key": func(d *Descriptor) {
			d.Policy.TokenKeys[0] = TokenKey{"key 1", ES256, d.Policy.TokenKeys[1].Public}
		},
	}
	form := regexp.MustCompile(`^([0-9a-f]{4} ){15}[0-9a-f]{4}$`)
	seen := map[string]string{}
	for name, change := range changes {
		_, d := aFleet(t, specFleet, specSeed)
		change(d)
		parsed, err := ParseDescriptor(d.Append(nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		print := d.Fingerprint()
		if other, twice := seen[print]; twice || !form.MatchString(print) || parsed.Fingerprint() != print {
			t.Errorf("%q and %q have the fingerprint %s", name, other, print)
		}
		seen[print] = name
	}
}

// A descriptor of the greatest policy is within its bound.
func TestMaxDescriptor(t *testing.T) {
	text := strings.Repeat("t", maxText)
	_, d := aFleet(t, specFleet, specSeed)
	d.Tier, d.Policy.Issuer, d.Policy.CoreAudience, d.Policy.GatewayAudience = text, text, text, text[1:]
	d.Policy.TokenKeys = nil
	for i := range maxTokenKeys {
		d.Policy.TokenKeys = append(d.Policy.TokenKeys, TokenKey{strings.Repeat(string(rune('a'+i)), maxKeyID), ES256, make([]byte, 65)})
	}
	encoded := d.Append(nil)
	if _, err := ParseDescriptor(encoded); err != nil || len(encoded) > MaxDescriptor {
		t.Errorf("%d bytes: %v", len(encoded), err)
	}
}
