// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"

	"github.com/coffer-backup/coffer/wire"
)

const (
	issuerName = "https://issuer.example"
	audience   = "core"
)

// issuer makes tokens for whoever has an account, and for the thief.
type issuer struct {
	w   *World
	key ed25519.PrivateKey
}

func newIssuer(w *World) *issuer {
	return &issuer{w, ed25519.NewKeyFromSeed([]byte("the simulated issuer's only seed"))}
}

func (i *issuer) tokenKey() wire.TokenKey {
	return wire.TokenKey{ID: "k1", Algorithm: wire.EdDSA, Public: []byte(i.key.Public().(ed25519.PublicKey))}
}

// token is valid for ten minutes.
func (i *issuer) token(subject string) string {
	seconds := uint64(i.w.timeOfDay()) / 1000
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // maps of strings and numbers are JSON
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]string{"alg": "EdDSA", "kid": "k1", "typ": "JWT"}) + "." +
		part(map[string]any{"iss": issuerName, "sub": subject, "aud": audience, "coffer_role": "primary", "iat": seconds, "exp": seconds + 600})
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(signed)))
}

// policy is the fleet's. Times are short, so that a schedule sees their ends.
func (w *World) policy() *wire.Policy {
	s, p := &w.schedule.Setup, wire.DefaultPolicy()
	p.Restart, p.Partitions, p.Budget = s.Restart, s.Partitions, s.Budget
	p.CooldownMs, p.PendingMs, p.ProvableMs, p.GraceMs = policyCooldownMs, 20_000, 10_000, 2*60_000
	p.Issuer, p.CoreAudience, p.GatewayAudience = issuerName, audience, "gateway"
	p.TokenKeys = []wire.TokenKey{w.tokens.tokenKey()}
	return &p
}
