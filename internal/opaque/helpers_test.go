// SPDX-License-Identifier: Apache-2.0

package opaque

import "testing"

const password = "correct horse battery staple"

// A world is one fleet with one registered account, and one guess with the right password, all from fixed seeds.
type world struct {
	keys    *ServerKeys
	public  [32]byte
	ids     Identities
	oprfKey [32]byte
	record  [192]byte
	export  [64]byte

	login   *Login
	ke1     [96]byte
	ke2     [320]byte
	session ServerSession
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{ids: Identities{Client: []byte("account"), Server: []byte("fleet")}}
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.keys, err = DeriveServerKeys([32]byte{1})
	must(err)
	w.public = w.keys.Public()
	w.oprfKey, err = DeriveOPRFKey([64]byte{2})
	must(err)
	registration, blinded, err := StartRegistration([]byte(password), [64]byte{3})
	must(err)
	response, err := RegistrationResponse(w.oprfKey, w.public, blinded)
	must(err)
	w.record, w.export, err = registration.finish(response, w.ids.Client, w.ids.Server, cheap.options(), [32]byte{4})
	must(err)
	w.login, w.ke1, err = w.guess(password)
	must(err)
	w.ke2, w.session, err = w.keys.KE2(w.input())
	must(err)
	return w
}

func (w *world) guess(password string) (*Login, [96]byte, error) {
	return StartLogin([]byte(password), [64]byte{5}, [32]byte{6}, [32]byte{7})
}

func (w *world) input() *KE2Input {
	return &KE2Input{
		OPRFKey: w.oprfKey, Record: w.record, KE1: w.ke1, CredentialID: []byte("registration"), Identities: w.ids,
		Nonce: [32]byte{8}, MaskingNonce: [32]byte{9}, KeyShareSeed: [32]byte{10},
	}
}

// finish is Login.Finish without the floor under the cost.
func (w *world) finish(l *Login, ke2 [320]byte, ids Identities, cost KSF) (ke3, key, export [64]byte, err error) {
	return l.finish(ke2, ids.Client, ids.Server, cost.options())
}
