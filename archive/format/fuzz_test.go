// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// Every decoder is fuzzed: it returns, and what it accepts encodes to the same bytes. The seeds are the vectors.

// seeds gives the vectors of a kind, some of which succeed and some of which do not.
func seeds(t testing.TB, kind string) []*vector {
	t.Helper()
	found := map[bool][]*vector{}
	for _, v := range loadVectors(t) {
		if v.Kind == kind {
			found[v.Expect == "success"] = append(found[v.Expect == "success"], v)
		}
	}
	if len(found[true]) == 0 || len(found[false]) == 0 {
		t.Fatalf("the vectors of kind %s are no corpus: %d succeed, %d fail", kind, len(found[true]), len(found[false]))
	}
	return append(found[true], found[false]...)
}

func TestSeeds(t *testing.T) {
	for _, kind := range []string{"keyring", "object", "pack", "index", "leaf", "layer", "snapshot", "head", "lock", "ids", "key"} {
		seeds(t, kind)
	}
}

func fuzzDecoder(f *testing.F, kind string) {
	for _, v := range seeds(f, kind) {
		f.Add(v.body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := readers[kind](t, &vector{body: body})
		if err == nil {
			describe(value)
		}
	})
}

func FuzzDecodeIndex(f *testing.F)    { fuzzDecoder(f, "index") }
func FuzzDecodeLeaf(f *testing.F)     { fuzzDecoder(f, "leaf") }
func FuzzDecodeLayer(f *testing.F)    { fuzzDecoder(f, "layer") }
func FuzzDecodeSnapshot(f *testing.F) { fuzzDecoder(f, "snapshot") }
func FuzzDecodeHead(f *testing.F)     { fuzzDecoder(f, "head") }
func FuzzDecodeLock(f *testing.F)     { fuzzDecoder(f, "lock") }
func FuzzDecodeIDs(f *testing.F)      { fuzzDecoder(f, "ids") }

// No fuzzer forges a seal. So the sealed readers get two inputs: whole objects, and what is inside the seal, which is sealed
// here under the right key.

func FuzzUnwrapKeyring(f *testing.F) {
	for _, v := range seeds(f, "keyring") {
		f.Add(v.body, uint32(1), v.body)
		f.Add(v.body, uint32(len(v.Masters)), []byte(strings.Repeat("m", 64)))
	}
	f.Fuzz(func(t *testing.T, object []byte, epoch uint32, masters []byte) {
		v := vector{Archive: hex.EncodeToString(specArchive), Key: hex.EncodeToString(specKey)}
		for _, v.body = range [][]byte{object, withHash(object), specKeyring(specHeader(tKeyring, epoch, named("salt")), masters)} {
			if _, err := readers["keyring"](t, &v); err == nil && len(v.body) != 60+32+32*int(binary.BigEndian.Uint32(v.body[24:]))+16+32 {
				t.Error("the length does not fit the epoch")
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, v := range seeds(f, "object") {
		f.Add(v.body, v.body[min(len(v.body), HeaderSize):])
	}
	f.Add([]byte{}, cat(be32(3), []byte("abc"), make([]byte, 1)))
	f.Fuzz(func(t *testing.T, object, inside []byte) {
		v := sealedBase("object", master1, master2)
		v.Type = "head"
		for _, v.body = range [][]byte{object, specSealed(specHeader(tHead, 2, named("salt")), master2, inside)} {
			plain, err := readers["object"](t, &v)
			if err == nil && len(v.body) != specPadme(60+4+len(plain.([]byte))+16) {
				t.Error("wrong padding accepted")
			}
		}
	})
}

func FuzzReadIndex(f *testing.F) {
	id := named("content 1")
	for _, v := range seeds(f, "pack") {
		f.Add(v.body, v.body[min(len(v.body), HeaderSize):], uint32(100), uint32(200))
	}
	f.Add([]byte{}, cat(num(2), specRecord(id, 300, 0), specRecord(id, 4000, 500), make([]byte, 9)), uint32(300+500+32), uint32(16+76+9))
	f.Fuzz(func(t *testing.T, object, index []byte, records, length uint32) {
		v := sealedBase("pack", master1, master2)
		v.body = object
		if value, err := readers["pack"](t, &v); err == nil && value.(Pack).Name != DigestOf(object) {
			t.Error("another name than was given")
		}

		// Only the index matters here: the records are not opened.
		header := specHeader(tPack, 2, named("salt"))
		key := specObjectKey(header, master2)
		sealed := specGCM(key, 1, 0, index, header)
		pack := cat(header, make([]byte, records%(1<<16)), sealed, specGCM(key, 2, 0, be32(length), header))
		kr := v.keyring(t)
		n, sizeErr := kr.IndexSize(header, pack)
		got, err := kr.ReadIndex(DigestOf(pack), int64(len(pack)), header, pack)
		if err != nil {
			return
		}
		if sizeErr != nil || n != len(sealed)+trailerSize || length != uint32(len(sealed)) {
			t.Fatalf("an index of %d bytes was read as one of %d", len(sealed), n)
		}
		again := appendRecords(nil, got.Records)
		same(t, cat(again, make([]byte, max(len(index)-len(again), 0))), index)
		if Padme(len(pack)-len(index)+len(again)) != len(pack) {
			t.Error("wrong padding accepted")
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, v := range seeds(f, "key") {
		f.Add(string(v.body))
	}
	f.Fuzz(func(t *testing.T, typed string) {
		k, err := ParseKey(typed)
		stripped := strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "\n", "", "\u00a0", "", "\u2013", "").Replace(typed)
		secret, hexErr := hex.DecodeString(stripped)
		if (err == nil) != (hexErr == nil && len(secret) == KeySize) {
			t.Fatalf("ParseKey(%q): %v", typed, err)
		}
		if err != nil {
			return
		}
		same(t, k.b.reveal(), secret)
		if again, err := ParseKey(k.Digits()); err != nil || again != k {
			t.Error("Digits gives another key")
		}
	})
}
