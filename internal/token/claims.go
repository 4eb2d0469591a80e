// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseClaims reads what a signed payload says, all but whether it is time for it.
func (v *Verifier) parseClaims(payload []byte) (c Claims, notBeforeMs int64, ok bool) {
	o, ok := parseObject(payload)
	if !ok || !slices.Contains(o.texts("aud"), v.audience) {
		return Claims{}, 0, false
	}
	role, _ := o.text("coffer_role")
	c.Issuer, _ = o.text("iss")
	c.Subject, _ = o.text("sub")
	c.Role, ok = ParseRole(role)
	if !ok || c.Issuer != v.issuer || c.Subject == "" || len(c.Subject) > maxSubjectSize {
		return Claims{}, 0, false
	}
	var issued, expires bool
	c.IssuedAtMs, issued = o.time("iat")
	c.ExpiresMs, expires = o.time("exp")
	if _, given := o["nbf"]; given {
		notBeforeMs, ok = o.time("nbf")
	}
	return c, notBeforeMs, ok && issued && expires
}

// object is a JSON object whose values are not looked into yet.
type object map[string]json.RawMessage

// parseObject reads a JSON object and nothing after it. It refuses a name that comes twice, of which readers
// take the first or the last as they like (RFC 8725 section 2.4), and tells names apart by
// case, which decoding into a struct would not.
func parseObject(data []byte) (object, bool) {
	if !utf8.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	o := object{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if _, twice := o[name]; err != nil || !ok || twice {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		o[name] = value
	}
	if end, err := d.Token(); err != nil || end != json.Delim('}') {
		return nil, false
	}
	_, err := d.Token()
	return o, err == io.EOF
}

// text returns a string. One with U+FFFD is refused: encoding/json puts it in the place of what is no
// character, so two subjects could become one account.
func (o object) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(o[name], &s) != nil || s == nil || strings.ContainsRune(*s, utf8.RuneError) {
		return "", false
	}
	return *s, true
}

// texts returns a string or a list of strings, nil if it is neither.
func (o object) texts(name string) []string {
	if s, ok := o.text(name); ok {
		return []string{s}
	}
	var list []string
	if json.Unmarshal(o[name], &list) != nil {
		return nil
	}
	return list
}

// time returns a NumericDate in whole seconds as milliseconds. The bound, the year 9999, keeps
// sums of times from overflowing.
func (o object) time(name string) (ms int64, ok bool) {
	const lastSecond = 253_402_300_799
	s, err := strconv.ParseInt(string(o[name]), 10, 64)
	return s * 1000, err == nil && s > 0 && s <= lastSecond
}
