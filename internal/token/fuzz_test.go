// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/base64"
	"strings"
	"testing"
)

// anyKey accepts every signature, so that fuzzing reaches what lies behind it.
func anyKey() *Verifier {
	accept := verifyKey{EdDSA, func([]byte, []byte) bool { return true }}
	return &Verifier{testIssuer, testAudience, map[string]verifyKey{"1": accept}}
}

func FuzzVerify(f *testing.F) {
	s := newEdDSA(f, "1")
	f.Add(s.token(s.header(), with("x", 1)))
	f.Add(s.token(s.header(), with("aud", []string{"a", testAudience})))
	f.Add(s.token(s.header(), with("nbf", nowSeconds)))
	f.Add("..")
	v := anyKey()
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(token, nowMs)
		if err != nil {
			if err != ErrInvalid && err != ErrExpired || c != (Claims{}) {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if c.Issuer != testIssuer || c.Subject == "" || len(c.Subject) > maxSubjectSize || c.Role != Primary && c.Role != Companion {
			t.Errorf("accepted %+v", c)
		}
		if c.ExpiresMs <= nowMs || c.IssuedAtMs > nowMs+leewayMs || c.ExpiresMs-c.IssuedAtMs > maxLifetimeMs {
			t.Errorf("accepted at %d: %+v", nowMs, c)
		}
		parts := strings.Split(token, ".")
		for i, part := range parts {
			b, _ := decode(part)
			parts[i] = base64.RawURLEncoding.EncodeToString(b)
		}
		if again := strings.Join(parts, "."); again != token {
			t.Errorf("%q is another spelling of %q", token, again)
		}
	})
}

func TestFuzzSeedIsAccepted(t *testing.T) {
	s := newEdDSA(t, "1")
	if _, err := anyKey().Verify(s.token(s.header(), with("x", 1)), nowMs); err != nil {
		t.Error("fuzzing would begin with nothing that is accepted:", err)
	}
}
