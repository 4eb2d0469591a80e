// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
)

// derivations are of anything, and so have no vector of a fault.
var derivations = map[string]bool{
	"account-id": true, "partition": true, "manage-secret": true, "element": true, "hpke-key": true, "derive": true,
}

// readers read the body of a vector, and return what a success gives and the class. What a decoder accepts must encode to the same bytes.
var readers = map[string]func(t testing.TB, v *vector) (value any, class string){
	"request":    decoded(ParseRequest, (*Request).Append),
	"answer":     decoded(ParseAnswer, func(b Body, to []byte) []byte { return AppendAnswer(to, b) }),
	"policy":     decoded(ParsePolicy, (*Policy).Append),
	"descriptor": readDescriptor,

	"sealed-request": readSealedRequest,
	"sealed-answer":  readSealedAnswer,

	"account-id": func(_ testing.TB, v *vector) (any, string) {
		return NewAccountID(v.fields["issuer"], string(v.body)), "success"
	},
	"partition": func(t testing.TB, v *vector) (any, string) {
		n := must1(strconv.ParseUint(v.fields["partitions"], 10, 16))
		return PartitionOf(v.fleet(t), AccountID(v.body), uint16(n)), "success"
	},
	"manage-secret": func(t testing.TB, v *vector) (any, string) {
		m := NewManageSecret(v.body, v.fleet(t), AccountID(v.field(t, "account")))
		return struct{ Secret, Hash [32]byte }{m, m.Hash()}, "success"
	},
	"element": func(t testing.TB, v *vector) (any, string) {
		return NewElementDigest(RegistrationID(v.field(t, "registration")), (*[KE1Size]byte)(v.body)), "success"
	},
	"hpke-key": func(t testing.TB, v *vector) (any, string) {
		k := must1(NewFleetKey(v.fleet(t), [32]byte(v.body)))
		return struct {
			ID     HPKEKeyID
			Public []byte
		}{k.id, k.Public()}, "success"
	},
	"derive": func(t testing.TB, v *vector) (any, string) {
		return DeriveKey(v.body, v.fields["domain"], v.field(t, "context")), "success"
	},
}

func (v *vector) field(t testing.TB, name string) []byte { return unhex(t, v.fields[name]) }
func (v *vector) fleet(t testing.TB) FleetID             { return FleetID(v.field(t, "fleet")) }

// decoded makes a reader of a decoder and its encoder.
func decoded[V any](decode func([]byte) (V, error), encode func(V, []byte) []byte) func(testing.TB, *vector) (any, string) {
	return func(t testing.TB, v *vector) (any, string) {
		t.Helper()
		value, err := decode(v.body)
		if err != nil {
			return nil, classOf(t, err)
		}
		same(t, encode(value, nil), v.body)
		return value, "success"
	}
}

// classOf names an error as a vector does: malformed, or the code of a refusal.
func classOf(t testing.TB, err error) string {
	t.Helper()
	refusal, refused := errors.AsType[*Error](err)
	switch {
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case refused:
		return fmt.Sprintf("refused %d", refusal.Code)
	}
	t.Errorf("unexpected error: %v", err)
	return ""
}

func readDescriptor(t testing.TB, v *vector) (any, string) {
	d, err := ParseDescriptor(v.body)
	if err != nil {
		return nil, classOf(t, err)
	}
	same(t, d.Append(nil), v.body)
	return struct {
		*Descriptor
		Fingerprint string
	}{d, d.Fingerprint()}, "success"
}

func readSealedRequest(t testing.TB, v *vector) (any, string) {
	key := must1(NewFleetKey(v.fleet(t), [32]byte(v.field(t, "seed"))))
	request, partition, sealer, err := key.Open(v.body)
	if err != nil {
		if request != nil || sealer != nil {
			t.Error("something was opened, and refused")
		}
		return nil, classOf(t, err)
	}
	return struct {
		Partition    Partition
		Request      *Request
		AnswerSecret [32]byte
	}{partition, request, sealer.secret}, "success"
}

func readSealedAnswer(t testing.TB, v *vector) (any, string) {
	opener := &Opener{[32]byte(v.field(t, "secret")), [encSize]byte(v.field(t, "enc"))}
	answer, sealed, err := opener.Open(v.body)
	if refusal, refused := errors.AsType[*Error](err); refused {
		answer, err = refusal, nil
	}
	if err != nil {
		if answer != nil || sealed {
			t.Error("something was opened, and refused")
		}
		return nil, classOf(t, err)
	}
	return struct {
		Answer Body
		Sealed bool
	}{answer, sealed}, "success"
}

func same(t testing.TB, got, want []byte) {
	t.Helper()
	if string(got) != string(want) {
		t.Errorf("encodes to %x, was %x", got, want)
	}
}
