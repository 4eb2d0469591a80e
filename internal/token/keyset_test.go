// SPDX-License-Identifier: Apache-2.0

package token

import (
	"strings"
	"testing"
)

// The keys are from RFC 8037 appendix A.2 and RFC 7517 appendix A.1.
const (
	ed25519Key = `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	p256Key    = `{"kty":"EC","crv":"P-256","use":"enc","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
)

func TestParseKeySet(t *testing.T) {
	keys, err := ParseKeySet([]byte(`{"keys":[` + ed25519Key + `,` + p256Key + `]}`))
	if err != nil || len(keys) != 2 || keys[0].ID != "a" || keys[0].Algorithm != EdDSA || keys[1].Algorithm != ES256 || len(keys[1].Public) != 65 {
		t.Fatalf("%+v, %v", keys, err)
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	for name, set := range map[string]string{
		"nothing":        "",
		"an empty set":   `{"keys":[]}`,
		"no key set":     `{}`,
		"RSA":            `{"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}]}`,
		"a private key":  `{"keys":[` + strings.Replace(ed25519Key, `"kid"`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid"`, 1) + `]}`,
		"no id":          `{"keys":[` + strings.Replace(ed25519Key, `"a"`, `""`, 1) + `]}`,
		"short":          `{"keys":[` + strings.Replace(ed25519Key, "HURo", "", 1) + `]}`,
		"another use":    `{"keys":[` + strings.Replace(ed25519Key, `"kid"`, `"alg":"ES256","kid"`, 1) + `]}`,
		"off the curve":  `{"keys":[` + strings.Replace(p256Key, "MKBC", "MKBD", 1) + `]}`,
		"half a point":   `{"keys":[` + strings.Replace(p256Key, "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "", 1) + `]}`,
		"not base64url":  `{"keys":[` + strings.Replace(p256Key, "4Etl", "4E+l", 1) + `]}`,
		"too long a set": strings.Repeat(" ", maxKeySet+1),
	} {
		if keys, err := ParseKeySet([]byte(set)); err == nil {
			t.Errorf("%s: %+v", name, keys)
		}
	}
}
