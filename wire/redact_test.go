// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// Secrets stay out of every print, however deep they lie in a message.
func TestSecretsAreRedacted(t *testing.T) {
	key, _ := aFleet(t, specFleet, specSeed)
	_, opener, sealer := exchange(t, &Request{specToken, &Status{}})
	secret := ManageSecret(manage)
	private := must1(key.private.Bytes())
	for _, c := range []struct {
		value  any
		secret []byte
	}{
		{secret, manage},
		{&secret, manage},
		{RegisterConfirm{Manage: secret}, manage},
		{&RegisterConfirm{Replaces: &secret}, manage},
		{&Delete{Proof: &secret}, manage},
		{&PutFreshness{Manage: secret}, manage},
		{[]ManageSecret{secret}, manage},
		{Request{specToken, &Status{}}, []byte(specToken)},
		{&Request{specToken, &Delete{Proof: &secret}}, []byte(specToken)},
		{[]any{&Request{"", &Delete{Proof: &secret}}}, manage},
		{*opener, opener.secret[:]},
		{opener, opener.secret[:]},
		{*sealer, sealer.secret[:]},
		{sealer, sealer.secret[:]},
		{*key, private},
		{key, private},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
			if text := fmt.Sprintf(verb, c.value); shows(text, c.secret) {
				t.Errorf("%s prints %T as %s", verb, c.value, text)
			}
		}
	}
	for _, value := range []any{secret, &secret, Request{}, &Request{}, opener, sealer, key} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if text := fmt.Sprintf(verb, value); text != "(redacted)" {
				t.Errorf("%s prints %T as %s", verb, value, text)
			}
		}
	}
	if secret.String() != "(redacted)" {
		t.Error("String tells the secret")
	}
}

// shows reports whether a text has four bytes of a secret in a row, in any of the ways in which fmt prints bytes.
func shows(text string, secret []byte) bool {
	part := secret[:4]
	for _, form := range []string{"%s", "%x", "%X", "%q", "%d", "%o", "%#v", "%+v"} {
		if strings.Contains(text, strings.Trim(fmt.Sprintf(form, part), `"[]byte{}`)) {
			return true
		}
	}
	return strings.Contains(text, hex.EncodeToString(part))
}
