// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"
)

// aFleet returns a fleet's key and descriptor.
func aFleet(t testing.TB, fleet, seed []byte) (*FleetKey, *Descriptor) {
	t.Helper()
	key, err := NewFleetKey(FleetID(fleet), [32]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	return key, &Descriptor{Fleet: FleetID(fleet), HPKE: [HPKEPublicSize]byte(key.Public()), Policy: *newSpecPolicy().value()}
}

var specAlice = AccountID(specAccount("https://issuer.example", "alice"))

// exchange seals a request of Alice's and opens it.
func exchange(t testing.TB, request *Request) (envelope []byte, o *Opener, s *Sealer) {
	t.Helper()
	key, d := aFleet(t, specFleet, specSeed)
	envelope, o, err := d.Seal(specAlice, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, s, err = key.Open(envelope); err != nil {
		t.Fatal(err)
	}
	return envelope, o, s
}

// tattle is a body that remembers the buffers into which it was encoded, as they were before and after.
type tattle struct {
	*RegisterConfirm
	seen *[][]byte
}

func (m tattle) add(b *cryptobyte.Builder) {
	*m.seen = append(*m.seen, b.BytesOrPanic())
	m.RegisterConfirm.add(b)
	*m.seen = append(*m.seen, b.BytesOrPanic())
}

// After Seal no buffer has the token or a manage secret any more, however long the token is.
func TestSealLeavesNoCopy(t *testing.T) {
	_, d := aFleet(t, specFleet, specSeed)
	for _, size := range []int{1, 900, MaxTokenSize} {
		var seen [][]byte
		replaced := ManageSecret(bytes.Repeat([]byte{8}, 32))
		body := tattle{&RegisterConfirm{Manage: ManageSecret(bytes.Repeat([]byte{7}, 32)), Replaces: &replaced}, &seen}
		if _, _, err := d.Seal(specAlice, &Request{Token: strings.Repeat("t", size), Body: body}); err != nil {
			t.Fatal(err)
		}
		if len(seen) != 2 || len(seen[0]) != 1+2+size || len(seen[1]) != len(seen[0])+81 {
			t.Fatalf("%d buffers were seen", len(seen))
		}
		for i, buffer := range seen {
			if !bytes.Equal(buffer, make([]byte, len(buffer))) {
				t.Errorf("a token of %d bytes: buffer %d is not cleared", size, i)
			}
		}
	}
}

func TestEnvelopesRoundTrip(t *testing.T) {
	key, d := aFleet(t, specFleet, specSeed)
	rapid.Check(t, func(t *rapid.T) {
		k := between[Kind](t, 1, uint64(lastKind))
		want := drawRequest(t, k)
		envelope, opener, err := d.Seal(specAlice, want)
		if err != nil {
			t.Fatal(err)
		}
		got, partition, sealer, err := key.Open(envelope)
		if err != nil || !reflect.DeepEqual(got, want) || partition != PartitionOf(d.Fleet, specAlice, 256) {
			t.Fatalf("%s for partition %d became %s, %v", describe(want), partition, describe(got), err)
		}
		if routed, err := EnvelopePartition(envelope); err != nil || routed != partition {
			t.Fatalf("routed to %d: %v", routed, err)
		}
		answer := drawAnswer(t, k)
		opened, sealed, err := opener.Open(sealer.Seal([32]byte(named("nonce")), answer))
		if err != nil || !sealed || !reflect.DeepEqual(opened, answer) {
			t.Fatalf("%s became %s, %v", describe(answer), describe(opened), err)
		}
	})
}

// mustRefuse opens an altered request.
func mustRefuse(t testing.TB, key *FleetKey, what string, at int, envelope []byte, want Code) {
	t.Helper()
	request, _, sealer, err := key.Open(envelope)
	if !errors.Is(err, Refuse(want)) || request != nil || sealer != nil {
		t.Fatalf("%s at %d: got %v, want %v", what, at, err, want)
	}
}

func TestEveryByteOfARequestCounts(t *testing.T) {
	key, _ := aFleet(t, specFleet, specSeed)
	envelope, _, _ := exchange(t, &Request{specToken, &Status{}})
	for at := range envelope {
		want := CodeMalformed
		switch {
		case at == 0:
			want = CodeVersion
		case at < 9:
			want = CodeUnknownKey
		}
		mustRefuse(t, key, "altered", at, with(envelope, at, envelope[at]^(1<<(at%8))), want)
	}
	if _, _, _, err := key.Open(envelope); err != nil {
		t.Fatal("the envelope itself no longer opens:", err)
	}
}

func TestRequestsOfAnotherLength(t *testing.T) {
	key, _ := aFleet(t, specFleet, specSeed)
	short, _, _ := exchange(t, &Request{specToken, &Status{}})
	for n := 1; n < len(short); n++ {
		mustRefuse(t, key, "cut", n, short[:n], CodeMalformed)
	}
	mustRefuse(t, key, "cut", 0, nil, CodeMalformed)
	two, _, _ := exchange(t, &Request{string(long("token", 2100)), &Status{}})
	for n := len(short) - 1; n < len(two); n += 63 { // over whole classes, and others
		mustRefuse(t, key, "cut", n, two[:n], CodeMalformed)
	}
	mustRefuse(t, key, "cut to a class", len(short), two[:len(short)], CodeMalformed)
	for _, more := range []int{1, requestClass, MaxEnvelope - len(short), MaxEnvelope - len(short) + 1, 1 << 20} {
		mustRefuse(t, key, "longer", more, cat(short, make([]byte, more)), CodeMalformed)
	}
	for _, n := range []int{1, len(short) - 1, MaxEnvelope + 1} {
		if _, err := EnvelopePartition(cat([]byte{Version}, make([]byte, n-1))); err != ErrMalformed {
			t.Errorf("an envelope of %d bytes is routed: %v", n, err)
		}
	}
}

func TestRequestForAnotherFleet(t *testing.T) {
	envelope, _, _ := exchange(t, &Request{specToken, &Status{}})
	for name, other := range map[string]struct {
		fleet, seed []byte
		want        Code
	}{
		"other key":             {specFleet, named("other seed"), CodeUnknownKey},
		"other fleet":           {named("other fleet")[:16], named("other seed"), CodeUnknownKey},
		"other fleet, same key": {named("other fleet")[:16], specSeed, CodeMalformed},
	} {
		key, _ := aFleet(t, other.fleet, other.seed)
		mustRefuse(t, key, name, 0, envelope, other.want)
		mustRefuse(t, key, name+", its id in the header", 0, with(envelope, 1, key.id[:]...), CodeMalformed)
	}
}

// The partition in the header is authenticated, although anybody can read it.
func TestRequestForAnotherPartition(t *testing.T) {
	key, _ := aFleet(t, specFleet, specSeed)
	envelope, _, _ := exchange(t, &Request{specToken, &Status{}})
	p, _ := EnvelopePartition(envelope)
	for _, other := range []Partition{p + 1, p ^ 0x100, 0xffff} {
		moved := with(envelope, 9, be16(uint16(other))...)
		if routed, err := EnvelopePartition(moved); err != nil || routed != other {
			t.Fatalf("routed to %d: %v", routed, err)
		}
		mustRefuse(t, key, "moved", int(other), moved, CodeMalformed)
	}
}

// Two sealings of one request have nothing in common but the header.
func TestRequestsAreSealedAnew(t *testing.T) {
	a, _, _ := exchange(t, &Request{specToken, &Status{}})
	b, _, _ := exchange(t, &Request{specToken, &Status{}})
	if !bytes.Equal(a[:headerSize], b[:headerSize]) {
		t.Error("the headers differ")
	}
	for _, at := range []int{headerSize, headerSize + 1088, headerSize + encSize, len(a) - tagSize} {
		if bytes.Equal(a[at:at+tagSize], b[at:at+tagSize]) {
			t.Errorf("the bytes from %d on are equal", at)
		}
	}
}

func TestUnusableHPKEKey(t *testing.T) {
	_, d := aFleet(t, specFleet, specSeed)
	copy(d.HPKE[:], []byte{0xff, 0xff})
	if _, _, err := d.Seal(specAlice, &Request{specToken, &Status{}}); err == nil {
		t.Error("a request was sealed under a key that is none")
	}
}
