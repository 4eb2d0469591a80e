// SPDX-License-Identifier: Apache-2.0

// Package opaque is the password protocol of the vault: OPAQUE as in RFC 9807, with ristretto255-SHA512, HKDF-SHA512,
// HMAC-SHA512, SHA-512, 3DH, and Argon2id on the client.
//
// It guarantees that the same inputs give the same bytes: every nonce, seed and blind is an argument. It trusts
// github.com/bytemare/opaque for the protocol and its caller for fresh entropy. It refuses elements that are not canonical or are
// the identity, a server that only hands the blinded element back, a server key other than the registration's,
// and Argon2id costs out of bounds. A panic of the library becomes an error.
package opaque

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/bytemare/ecc"
	"github.com/bytemare/ksf"
	lib "github.com/bytemare/opaque"
)

const (
	contextString = "coffer/v1/opaque"

	dstServerKey = contextString + "/server-key"
	dstOPRFKey   = contextString + "/oprf-key"
	dstBlind     = contextString + "/blind"

	group = ecc.Ristretto255Sha512
)

var (
	// ErrMalformed: a message is no valid encoding, or OPAQUE forbids it.
	ErrMalformed = errors.New("opaque: malformed message")
	// ErrWrongPassword: the answer does not open with this password, these identities and this server key. Which of them
	// is wrong cannot be told, by design.
	ErrWrongPassword = errors.New("opaque: wrong password")
	// ErrProof: the KE3 does not prove the password.
	ErrProof = errors.New("opaque: wrong proof")
	// ErrCost: an Argon2id cost is out of bounds.
	ErrCost = errors.New("opaque: Argon2id cost out of bounds")
)

// maxLength is the longest input that the protocol can encode; the library panics beyond it.
const maxLength = 1<<16 - 1

// Identities names both ends; they are bound into the record and the session. Neither may be empty: OPAQUE would put a public
// key in its place, and a record would no longer belong to one account.
type Identities struct{ Client, Server []byte }

func (i Identities) check() error {
	if len(i.Client) == 0 || len(i.Client) > maxLength || len(i.Server) == 0 || len(i.Server) > maxLength-32 {
		return ErrMalformed
	}
	return nil
}

func configuration(id ksf.Identifier, context string) *lib.Configuration {
	return &lib.Configuration{
		Context: []byte(context), KDF: crypto.SHA512, MAC: crypto.SHA512, Hash: crypto.SHA512,
		KSF: id, OPRF: lib.RistrettoSha512, AKE: lib.RistrettoSha512,
	}
}

// decoder is read only after it is made, so it is shared.
var decoder = func() *lib.Deserializer {
	d, err := configuration(ksf.Argon2id, contextString).Deserializer()
	if err != nil {
		panic(err) // constants only: a broken build
	}
	return d
}()

// CheckElement refuses what is not the canonical encoding of a ristretto255 element, and the identity.
func CheckElement(b []byte) error {
	return check(func() error { _, err := decoder.RegistrationRequest(b); return err })
}

// CheckRecord refuses what is no registration record.
func CheckRecord(b []byte) error {
	return check(func() error { _, err := decoder.RegistrationRecord(b); return err })
}

// CheckKE1 refuses what is no KE1.
func CheckKE1(b []byte) error {
	return check(func() error { _, err := decoder.KE1(b); return err })
}

func check(f func() error) (err error) {
	defer caught(&err)
	return malformed(f())
}

// malformed keeps the library's text, which is constant, but not its types.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %v", ErrMalformed, err)
}

// caught turns a panic of the library into an error. The panic's text is dropped: it may hold the password.
func caught(err *error) {
	if recover() != nil {
		*err = ErrMalformed
	}
}

// scalar decodes a scalar; zero would make every evaluation the identity.
func scalar(b []byte) (*ecc.Scalar, error) {
	s := group.NewScalar()
	if err := s.Decode(b); err != nil || s.IsZero() {
		return nil, ErrMalformed
	}
	return s, nil
}

// derive maps a uniform seed to a scalar that is not zero.
func derive(seed []byte, dst string) (*ecc.Scalar, error) {
	s := group.HashToScalar(seed, []byte(dst))
	if s.IsZero() {
		return nil, ErrMalformed
	}
	return s, nil
}

// redacted, embedded, keeps what a struct holds out of every log.
type redacted struct{}

func (redacted) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("(redacted)")) }
func (redacted) MarshalText() ([]byte, error) { return []byte("(redacted)"), nil }
