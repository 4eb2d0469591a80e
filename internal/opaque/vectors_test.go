// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/bytemare/ecc"
	lib "github.com/bytemare/opaque"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// A vector of RFC 9807, appendix C. The RFC's fake vectors have a client public key and a masking key, and no client.
type vector struct {
	Config struct {
		Context   hexBytes
		Fake, KSF string
	}
	Inputs        map[string]hexBytes
	Intermediates map[string]hexBytes
	Outputs       map[string]hexBytes
}

func loadVectors(t *testing.T) (vectors []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc9807-ristretto255.json")
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 3 {
		t.Fatalf("%d vectors, want the RFC's two real ones and its fake one", len(vectors))
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		if v.Config.KSF != "Identity" {
			t.Fatalf("unexpected KSF %q", v.Config.KSF)
		}
		if v.Config.Fake == "True" {
			t.Run("fake", v.testFake)
		} else {
			t.Run("registration", v.testRegistration)
			t.Run("login", v.testLogin)
		}
	}
}

// plain is the RFC's configuration: no stretching, its own context.
func (v *vector) plain() *lib.Configuration { return configuration(0, string(v.Config.Context)) }

func (v *vector) scalar(t *testing.T, b []byte) *ecc.Scalar {
	t.Helper()
	s, err := scalar(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (v *vector) testRegistration(t *testing.T) {
	registration, blinded, err := startRegistration(v.plain(), v.Inputs["password"], v.scalar(t, v.Inputs["blind_registration"]))
	v.equal(t, "registration_request", blinded[:], err)
	response, err := RegistrationResponse([32]byte(v.Intermediates["oprf_key"]), [32]byte(v.Inputs["server_public_key"]), blinded)
	v.equal(t, "registration_response", response[:], err)
	record, export, err := registration.finish(response, v.Inputs["client_identity"], v.Inputs["server_identity"], &lib.ClientOptions{}, [32]byte(v.Inputs["envelope_nonce"]))
	v.equal(t, "registration_upload", record[:], err)
	v.equal(t, "export_key", export[:], err)
}

func (v *vector) testLogin(t *testing.T) {
	in := v.Inputs
	login, ke1, err := startLogin(v.plain(), in["password"], v.scalar(t, in["blind_login"]), [32]byte(in["client_nonce"]), [32]byte(in["client_keyshare_seed"]))
	v.equal(t, "KE1", ke1[:], err)
	ke2, session := v.ke2(t, v.Intermediates["oprf_key"], v.Outputs["registration_upload"], ke1[:])
	ke3, key, export, err := login.finish(ke2, in["client_identity"], in["server_identity"], &lib.ClientOptions{})
	v.equal(t, "KE3", ke3[:], err)
	v.equal(t, "session_key", key[:], err)
	v.equal(t, "session_key", session.SessionKey[:], err)
	v.equal(t, "export_key", export[:], err)
	if err = session.Finish(ke3[:]); err != nil {
		t.Error(err)
	}
}

func (v *vector) testFake(t *testing.T) {
	record := make([]byte, 192) // with an envelope of zeros
	copy(record, v.Inputs["client_public_key"])
	copy(record[32:], v.Inputs["masking_key"])
	v.ke2(t, v.oprfKey(t), record, v.Inputs["KE1"])
}

func (v *vector) ke2(t *testing.T, oprfKey, record, ke1 []byte) ([320]byte, ServerSession) {
	t.Helper()
	keys, err := newServerKeys(v.scalar(t, v.Inputs["server_private_key"]), string(v.Config.Context))
	if err != nil {
		t.Fatal(err)
	}
	message, session, err := keys.ke2(&KE2Input{
		OPRFKey: [32]byte(oprfKey), Record: [192]byte(record), KE1: [96]byte(ke1),
		CredentialID: v.Inputs["credential_identifier"], Identities: Identities{Client: v.Inputs["client_identity"]},
		Nonce: [32]byte(v.Inputs["server_nonce"]), MaskingNonce: [32]byte(v.Inputs["masking_nonce"]), KeyShareSeed: [32]byte(v.Inputs["server_keyshare_seed"]),
	}, v.Inputs["server_identity"])
	v.equal(t, "KE2", message[:], err)
	return message, session
}

// oprfKey derives a fake client's OPRF key as in RFC 9807, section 6.3.2.1, because the fake vector does not state it.
func (v *vector) oprfKey(t *testing.T) []byte {
	t.Helper()
	seed, err := hkdf.Expand(sha512.New, v.Inputs["oprf_seed"], string(v.Inputs["credential_identifier"])+"OprfKey", 32)
	if err != nil {
		t.Fatal(err)
	}
	const info = "OPAQUE-DeriveKeyPair"
	input := append(append(seed, 0, byte(len(info))), info+"\x00"...)
	return group.HashToScalar(input, []byte("DeriveKeyPairOPRFV1-\x00-ristretto255-SHA512")).Encode()
}

func (v *vector) equal(t *testing.T, name string, got []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if want := v.Outputs[name]; len(want) == 0 || !bytes.Equal(got, want) {
		t.Fatalf("%s:\n got %x\nwant %x", name, got, []byte(want))
	}
}
