// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/base64"
	"strings"
)

// open checks the size, the header and the signature of a compact JWS (RFC 7515) and returns its payload.
// Nothing of the payload is read before the signature has been verified.
func (v *Verifier) open(token string) ([]byte, error) {
	if len(token) > MaxSize {
		return nil, ErrInvalid
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, ErrInvalid
	}
	var decoded [3][]byte
	for i, part := range parts {
		var ok bool
		if decoded[i], ok = decode(part); !ok {
			return nil, ErrInvalid
		}
	}
	key, ok := v.keyFor(decoded[0])
	signed := token[:len(parts[0])+1+len(parts[1])]
	if !ok || !key.verify([]byte(signed), decoded[2]) {
		return nil, ErrInvalid
	}
	return decoded[1], nil
}

// decode accepts one spelling of each byte string only: no padding, no line breaks (which
// encoding/base64 skips) and no stray bits at the end.
func decode(part string) ([]byte, bool) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return b, err == nil
}

// keyFor returns the key that a header names. The key's algorithm is what counts; a header that says
// another one, "none" among them, is refused (RFC 8725 section 3.1). So is every extension
// that the issuer calls critical, because none is known here (RFC 7515 section 4.1.11).
func (v *Verifier) keyFor(header []byte) (verifyKey, bool) {
	h, ok := parseObject(header)
	if !ok {
		return verifyKey{}, false
	}
	if _, extended := h["crit"]; extended {
		return verifyKey{}, false
	}
	kid, _ := h.text("kid")
	algorithm, _ := h.text("alg")
	kind, _ := h.text("typ")
	key, known := v.keys[kid]
	isAccessToken := strings.EqualFold(kind, "JWT") || strings.EqualFold(kind, "at+jwt") // RFC 9068
	return key, known && algorithm == key.algorithm && isAccessToken
}
