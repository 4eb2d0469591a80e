// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
)

const (
	testIssuer   = "https://issuer.test"
	testAudience = "core"
	nowSeconds   = 1_800_000_000
	nowMs        = int64(nowSeconds) * 1000
)

// signer makes tokens, right ones and wrong ones.
type signer struct {
	key  Key
	sign func(signed []byte) []byte
}

func newEdDSA(t testing.TB, id string) signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{Key{id, EdDSA, public}, func(signed []byte) []byte { return ed25519.Sign(private, signed) }}
}

func newES256(t testing.TB, id string) (signer, *ecdsa.PrivateKey) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return signer{Key{id, ES256, public}, func(signed []byte) []byte {
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}}, private
}

func (s signer) header() string {
	return `{"alg":"` + s.key.Algorithm + `","kid":"` + s.key.ID + `","typ":"JWT"}`
}

func (s signer) token(header, payload string) string {
	signed := encode(header) + "." + encode(payload)
	return signed + "." + encode(string(s.sign([]byte(signed))))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

type claims map[string]any

func good() claims {
	return claims{"iss": testIssuer, "aud": testAudience, "sub": "alice", "coffer_role": "primary",
		"iat": nowSeconds - 10, "exp": nowSeconds + 600}
}

// with returns good claims but for one; nil takes it away.
func with(name string, value any) string {
	c := good()
	c[name] = value
	if value == nil {
		maps.DeleteFunc(c, func(k string, _ any) bool { return k == name })
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func verifier(t testing.TB, keys ...Key) *Verifier {
	v, err := NewVerifier(testIssuer, testAudience, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAccepts(t *testing.T) {
	ed := newEdDSA(t, "ed")
	es, _ := newES256(t, "es")
	v := verifier(t, ed.key, es.key)
	longest := strings.Repeat("x", maxSubjectSize)
	for name, test := range map[string]struct {
		token string
		want  Claims
	}{
		"EdDSA":         {ed.token(ed.header(), with("x", 1)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"ES256":         {es.token(es.header(), with("x", 1)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"companion":     {ed.token(ed.header(), with("coffer_role", "companion")), Claims{testIssuer, "alice", Companion, nowMs - 10_000, nowMs + 600_000}},
		"aud list":      {ed.token(ed.header(), with("aud", []string{"other", testAudience})), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"at+jwt":        {ed.token(`{"alg":"EdDSA","kid":"ed","typ":"at+JWT"}`, with("x", 1)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"spaces":        {ed.token(" "+ed.header()+"\n", strings.ReplaceAll(with("x", 1), ":1", " : 1")), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"leeway":        {ed.token(ed.header(), with("iat", nowSeconds+60)), Claims{testIssuer, "alice", Primary, nowMs + 60_000, nowMs + 600_000}},
		"not before":    {ed.token(ed.header(), with("nbf", nowSeconds)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
		"last second":   {ed.token(ed.header(), with("exp", nowSeconds+1)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 1000}},
		"a day":         {ed.token(ed.header(), with("exp", nowSeconds-10+24*3600)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs - 10_000 + maxLifetimeMs}},
		"longest name":  {ed.token(ed.header(), with("sub", longest)), Claims{testIssuer, longest, Primary, nowMs - 10_000, nowMs + 600_000}},
		"nested, twice": {ed.token(ed.header(), strings.Replace(with("x", 1), `"x":1`, `"x":{"sub":1,"sub":2}`, 1)), Claims{testIssuer, "alice", Primary, nowMs - 10_000, nowMs + 600_000}},
	} {
		if got, err := v.Verify(test.token, nowMs); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRefusesClaims(t *testing.T) {
	s := newEdDSA(t, "1")
	v := verifier(t, s.key)
	ok := with("x", 1)
	for name, test := range map[string]struct {
		payload string
		want    error
	}{
		"expired":             {with("exp", nowSeconds-1), ErrExpired},
		"expires now":         {with("exp", nowSeconds), ErrExpired},
		"no expiry":           {with("exp", nil), ErrInvalid},
		"expiry as text":      {with("exp", "1800000600"), ErrInvalid},
		"expiry with point":   {with("exp", 1800000600.5), ErrInvalid},
		"expiry null":         {strings.Replace(with("exp", 1), `"exp":1`, `"exp":null`, 1), ErrInvalid},
		"expiry negative":     {with("exp", -1), ErrInvalid},
		"expiry overflows":    {strings.Replace(with("exp", 1), `"exp":1`, `"exp":9223372036854775807`, 1), ErrInvalid},
		"expiry exponent":     {strings.Replace(with("exp", 1), `"exp":1`, `"exp":18e8`, 1), ErrInvalid},
		"no issue time":       {with("iat", nil), ErrInvalid},
		"issued in future":    {with("iat", nowSeconds+61), ErrInvalid},
		"expiry wraps round":  {strings.Replace(with("exp", 1), `"exp":1`, `"exp":2305843011013694552`, 1), ErrInvalid}, // times 1000 is a good one modulo 2^64
		"issued after expiry": {strings.Replace(with("exp", nowSeconds+40), `"iat":1799999990`, `"iat":1800000050`, 1), ErrInvalid},
		"issued at expiry":    {with("iat", nowSeconds+600), ErrInvalid},
		"nbf negative":        {with("nbf", -1), ErrInvalid},
		"lives too long":      {with("exp", nowSeconds-10+24*3600+1), ErrInvalid},
		"not yet":             {with("nbf", nowSeconds+61), ErrInvalid},
		"nbf no number":       {with("nbf", "soon"), ErrInvalid},
		"other issuer":        {with("iss", testIssuer+"/"), ErrInvalid},
		"no issuer":           {with("iss", nil), ErrInvalid},
		"issuer list":         {with("iss", []string{testIssuer}), ErrInvalid},
		"other audience":      {with("aud", "gateway"), ErrInvalid},
		"part of audience":    {with("aud", "cor"), ErrInvalid},
		"no audience":         {with("aud", nil), ErrInvalid},
		"empty audiences":     {with("aud", []string{}), ErrInvalid},
		"mixed audiences":     {with("aud", []any{testAudience, 1}), ErrInvalid},
		"no subject":          {with("sub", nil), ErrInvalid},
		"empty subject":       {with("sub", ""), ErrInvalid},
		"long subject":        {with("sub", strings.Repeat("x", maxSubjectSize+1)), ErrInvalid},
		"number as subject":   {with("sub", 7), ErrInvalid},
		"half a character":    {strings.Replace(ok, "alice", `\ud800`, 1), ErrInvalid},
		"not UTF-8 elsewhere": {strings.Replace(ok, `"x":1`, "\"x\":\"\xff\"", 1), ErrInvalid},
		"not UTF-8":           {strings.Replace(ok, "alice", "\xff", 1), ErrInvalid},
		"no role":             {with("coffer_role", nil), ErrInvalid},
		"other role":          {with("coffer_role", "admin"), ErrInvalid},
		"none as role":        {with("coffer_role", "none"), ErrInvalid},
		"role's case":         {with("coffer_role", "Primary"), ErrInvalid},
		"claim's case":        {strings.Replace(ok, `"sub"`, `"SUB"`, 1), ErrInvalid},
		"subject twice":       {strings.Replace(ok, `"sub"`, `"sub":"bob","sub"`, 1), ErrInvalid},
		"twice, escaped":      {strings.Replace(ok, `"sub"`, `"s\u0075b":"bob","sub"`, 1), ErrInvalid},
		"unknown, twice":      {strings.Replace(ok, `"x"`, `"x":2,"x"`, 1), ErrInvalid},
		"trailing bytes":      {ok + "1", ErrInvalid},
		"two objects":         {ok + ok, ErrInvalid},
		"truncated":           {ok[:len(ok)-1], ErrInvalid},
		"a list":              {"[" + ok + "]", ErrInvalid},
		"null":                {"null", ErrInvalid},
		"nothing":             {"", ErrInvalid},
	} {
		if got, err := v.Verify(s.token(s.header(), test.payload), nowMs); !errors.Is(err, test.want) || got != (Claims{}) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, test.want)
		}
	}
}

func TestRefusesHeaders(t *testing.T) {
	ed := newEdDSA(t, "ed")
	es, _ := newES256(t, "es")
	v := verifier(t, ed.key, es.key)
	for name, token := range map[string]string{
		"alg none":         encode(`{"alg":"none","kid":"ed","typ":"JWT"}`) + "." + encode(with("x", 1)) + ".",
		"alg none, signed": ed.token(`{"alg":"none","kid":"ed","typ":"JWT"}`, with("x", 1)),
		"no alg":           ed.token(`{"kid":"ed","typ":"JWT"}`, with("x", 1)),
		"alg's case":       ed.token(`{"alg":"eddsa","kid":"ed","typ":"JWT"}`, with("x", 1)),
		"other key's alg":  ed.token(`{"alg":"ES256","kid":"ed","typ":"JWT"}`, with("x", 1)),
		"other key's kid":  ed.token(`{"alg":"EdDSA","kid":"es","typ":"JWT"}`, with("x", 1)),
		"other key":        ed.token(es.header(), with("x", 1)),
		"HMAC by the key":  signer{ed.key, hmacBy(ed.key.Public)}.token(`{"alg":"HS256","kid":"ed","typ":"JWT"}`, with("x", 1)),
		"unknown kid":      ed.token(`{"alg":"EdDSA","kid":"e","typ":"JWT"}`, with("x", 1)),
		"no kid":           ed.token(`{"alg":"EdDSA","typ":"JWT"}`, with("x", 1)),
		"no typ":           ed.token(`{"alg":"EdDSA","kid":"ed"}`, with("x", 1)),
		"other typ":        ed.token(`{"alg":"EdDSA","kid":"ed","typ":"id+jwt"}`, with("x", 1)),
		"crit":             ed.token(`{"alg":"EdDSA","kid":"ed","typ":"JWT","crit":["exp"]}`, with("x", 1)),
		"crit null":        ed.token(`{"alg":"EdDSA","kid":"ed","typ":"JWT","crit":null}`, with("x", 1)),
		"alg twice":        ed.token(`{"alg":"none","alg":"EdDSA","kid":"ed","typ":"JWT"}`, with("x", 1)),
		"no object":        ed.token(`"EdDSA"`, with("x", 1)),
	} {
		if _, err := v.Verify(token, nowMs); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hmacBy(key []byte) func([]byte) []byte {
	return func(signed []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(signed)
		return h.Sum(nil)
	}
}

func TestRefusesSpellings(t *testing.T) {
	s := newEdDSA(t, "1")
	v := verifier(t, s.key)
	ok := s.token(s.header(), with("x", 1))
	parts := strings.Split(ok, ".")
	atLimit := s.token(s.header(), with("x", strings.Repeat("x", 2800)))
	if _, err := v.Verify(atLimit, nowMs); err != nil || len(atLimit) > MaxSize {
		t.Fatalf("a long token of %d bytes: %v", len(atLimit), err)
	}
	for name, token := range map[string]string{
		"nothing":        "",
		"two parts":      parts[0] + "." + parts[1],
		"four parts":     ok + "." + parts[2],
		"no signature":   parts[0] + "." + parts[1] + ".",
		"padding":        ok + "==",
		"trailing byte":  ok + "A",
		"trailing space": ok + " ",
		"line break":     ok + "\n",
		"break inside":   parts[0] + "\r\n." + parts[1] + "." + parts[2],
		"stray bits":     ok[:len(ok)-1] + string(ok[len(ok)-1]+1), // 64 bytes leave four bits unused
		"too long":       s.token(s.header(), with("x", strings.Repeat("x", MaxSize))),
		"JSON form":      `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
	} {
		if _, err := v.Verify(token, nowMs); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range ok {
		if _, err := v.Verify(ok[:n], nowMs); !errors.Is(err, ErrInvalid) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// Every bit counts, of header, claims and signature.
func TestRefusesFlippedBits(t *testing.T) {
	ed := newEdDSA(t, "ed")
	es, _ := newES256(t, "es")
	v := verifier(t, ed.key, es.key)
	for _, s := range []signer{ed, es} {
		ok := s.token(s.header(), with("x", 1))
		for i := range ok {
			for bit := range 8 {
				flipped := []byte(ok)
				flipped[i] ^= 1 << bit
				if _, err := v.Verify(string(flipped), nowMs); !errors.Is(err, ErrInvalid) {
					t.Fatalf("%s: bit %d of byte %d: %v", s.key.ID, bit, i, err)
				}
			}
		}
	}
}

func TestRefusesES256Signatures(t *testing.T) {
	s, private := newES256(t, "1")
	v := verifier(t, s.key)
	for name, sign := range map[string]func([]byte) []byte{
		"ASN.1": func(signed []byte) []byte {
			digest := sha256.Sum256(signed)
			signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			return signature
		},
		"zeros":    func([]byte) []byte { return make([]byte, 64) },
		"too long": func(signed []byte) []byte { return append(s.sign(signed), 0) },
		"a zero between": func(signed []byte) []byte {
			signature := s.sign(signed)
			return append(append(bytes.Clone(signature[:32]), 0), signature[32:]...)
		},
		"too short": func(signed []byte) []byte { return s.sign(signed)[:63] },
		"empty":     func([]byte) []byte { return nil },
	} {
		if _, err := v.Verify((signer{s.key, sign}).token(s.header(), with("x", 1)), nowMs); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	ed := newEdDSA(t, "ed").key
	signer, _ := newES256(t, "es")
	es := signer.key
	offCurve := append([]byte(nil), es.Public...)
	offCurve[64] ^= 1
	for name, k := range map[string]Key{
		"no id":             {"", EdDSA, ed.Public},
		"no algorithm":      {"1", "", ed.Public},
		"RSA":               {"1", "RS256", ed.Public},
		"short":             {"1", EdDSA, ed.Public[1:]},
		"the other's":       {"1", EdDSA, es.Public},
		"point off curve":   {"1", ES256, offCurve},
		"compressed":        {"1", ES256, append([]byte{2}, es.Public[1:33]...)},
		"point at infinity": {"1", ES256, []byte{0}},
	} {
		if k.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if ed.Check() != nil || es.Check() != nil {
		t.Error("a good key was refused")
	}
	for name, keys := range map[string][]Key{"none": nil, "one id twice": {ed, {"ed", ES256, es.Public}}, "a bad one": {ed, {"x", EdDSA, nil}}} {
		if _, err := NewVerifier(testIssuer, testAudience, keys); err == nil {
			t.Errorf("keys %s: accepted", name)
		}
	}
	if _, err := NewVerifier("", testAudience, []Key{ed}); err == nil {
		t.Error("no issuer: accepted")
	}
	if _, err := NewVerifier(testIssuer, "", []Key{ed}); err == nil {
		t.Error("no audience: accepted")
	}
}

// A key that its owner changes afterwards must not change what is accepted.
func TestKeysAreCopied(t *testing.T) {
	s := newEdDSA(t, "1")
	v := verifier(t, s.key)
	token := s.token(s.header(), with("x", 1))
	clear(s.key.Public)
	if _, err := v.Verify(token, nowMs); err != nil {
		t.Error(err)
	}
}
