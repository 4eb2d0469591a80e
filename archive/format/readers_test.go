// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// readers read the body of a vector. What a decoder accepts must encode to the same bytes.
var readers = map[string]func(t testing.TB, v *vector) (any, error){
	"keyring": func(t testing.TB, v *vector) (any, error) {
		kr, err := UnwrapKeyring(v.archive(t), v.key(t), v.body)
		if whole := CheckKeyring(v.archive(t), v.body); whole != nil && (err == nil || whole.Error() != err.Error()) || errors.Is(err, ErrWrongKey) && whole != nil {
			t.Errorf("CheckKeyring: %v; UnwrapKeyring: %v", whole, err)
		}
		if err != nil {
			return nil, err
		}
		h, _ := parseHeader(v.body, TypeKeyring, kr.archive)
		same(t, kr.wrap(&h, v.key(t)), v.body)
		return kr.secrets(), nil
	},
	"object": func(t testing.TB, v *vector) (any, error) {
		kr, typ := v.keyring(t), objectTypes[v.Type]
		plain, err := kr.Open(typ, v.body)
		if err != nil {
			return nil, err
		}
		h, _ := parseHeader(v.body, typ, kr.archive)
		same(t, kr.seal(&h, plain), v.body)
		return plain, nil
	},
	"pack": func(t testing.TB, v *vector) (any, error) {
		kr := v.keyring(t)
		pack, contents, err := readPack(kr, v.body)
		if err != nil {
			return nil, err
		}
		w := kr.newPack(&header{typ: TypePack, archive: kr.archive, epoch: pack.Epoch, salt: pack.Salt}, nil)
		for i, r := range pack.Records {
			w.Append(r, contents[i])
			if id := kr.Hasher().Content(decompressed(t, r.Coding, contents[i])); id != r.ID {
				t.Errorf("record %d has the content %s and is called %s", i, id, r.ID)
			}
		}
		again, data := w.Finish()
		same(t, data, v.body)
		if describe(again) != describe(pack) {
			t.Errorf("the writer describes the pack as %s, the reader as %s", describe(again), describe(pack))
		}
		return pack, nil
	},
	"index":    decoded(DecodeIndex, EncodeIndex),
	"leaf":     decoded(DecodeLeaf, EncodeLeaf),
	"layer":    decoded(DecodeLayer, (*Layer).Encode),
	"snapshot": decoded(DecodeSnapshot, (*Snapshot).Encode),
	"head":     decoded(DecodeHead, (*Head).Encode),
	"lock":     decoded(DecodeLock, (*Lock).Encode),
	"ids":      decoded(DecodeIDs, EncodeIDs),
	"key": func(t testing.TB, v *vector) (any, error) {
		k, err := ParseKey(string(v.body))
		if err != nil {
			return nil, err
		}
		return k.Digits(), nil
	},
	"content-id": func(t testing.TB, v *vector) (any, error) { return v.keyring(t).Hasher().Content(v.body), nil },
	"page-id": func(t testing.TB, v *vector) (any, error) {
		n, err := strconv.ParseUint(v.Page, 10, 32)
		return v.keyring(t).Hasher().Page(uint32(n), v.body), err
	},
	"cut": func(t testing.TB, v *vector) (any, error) { return v.keyring(t).Hasher().Cut(string(v.body)), nil },
}

var objectTypes = map[string]Type{
	"index": TypeIndex, "snapshot": TypeSnapshot, "head": TypeHead, "lock": TypeLock,
}

func decoded[V any](decode func([]byte) (V, error), encode func(V) []byte) func(testing.TB, *vector) (any, error) {
	return func(t testing.TB, v *vector) (any, error) {
		t.Helper()
		value, err := decode(v.body)
		if err != nil {
			return nil, err
		}
		same(t, encode(value), v.body)
		return value, nil
	}
}

func same(t testing.TB, got, want []byte) {
	t.Helper()
	if string(got) != string(want) {
		t.Errorf("encodes to %x, was %x", got, want)
	}
}

// readPack reads a whole pack: its description and its encoded contents.
func readPack(kr *Keyring, data []byte) (Pack, [][]byte, error) {
	pack, err := kr.ReadIndex(DigestOf(data), int64(len(data)), data[:min(len(data), HeaderSize)], data)
	if err != nil {
		return Pack{}, nil, err
	}
	r, err := kr.PackReader(&pack)
	if err != nil {
		return Pack{}, nil, err
	}
	var contents [][]byte
	pack.Each(func(position, offset uint32, rec *Record) {
		sealed := append([]byte(nil), data[offset:][:rec.sealed()]...)
		content, failure := r.OpenRecord(position, sealed)
		if failure != nil && err == nil {
			err = fmt.Errorf("record %d: %w", position, failure)
		}
		contents = append(contents, content)
	})
	return pack, contents, err
}

func decompressed(t testing.TB, coding Coding, encoded []byte) []byte {
	t.Helper()
	if coding == Raw {
		return encoded
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	content, err := d.DecodeAll(encoded, nil)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (v *vector) archive(t testing.TB) ID {
	t.Helper()
	id, err := ParseID(v.Archive)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (v *vector) key(t testing.TB) Key {
	t.Helper()
	k, err := ParseKey(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (v *vector) keyring(t testing.TB) *Keyring {
	t.Helper()
	kr := &Keyring{archive: v.archive(t)}
	for _, m := range v.Masters {
		kr.masters = append(kr.masters, conceal(unhex(t, m)))
	}
	return kr
}

func (kr *Keyring) secrets() (masters [][]byte) {
	for i := range kr.masters {
		masters = append(masters, kr.masters[i].reveal())
	}
	return masters
}

// describe gives a value as JSON: byte arrays as hexadecimal digits, strings quoted as in Go.
func describe(value any) string {
	text, err := json.Marshal(plainValue(value))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// plainValue turns a decoded value into what JSON can show.
func plainValue(value any) any {
	switch v := value.(type) {
	case time.Time:
		return fmt.Sprintf("%d s %d ns", v.Unix(), v.Nanosecond())
	case EntryType:
		return string(v)
	}
	r := reflect.ValueOf(value)
	switch r.Kind() {
	case reflect.Pointer:
		return plainValue(r.Elem().Interface())
	case reflect.String:
		q := strconv.Quote(r.String())
		return q[1 : len(q)-1]
	case reflect.Array, reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return hex.EncodeToString(bytesOf(r))
		}
		list := []any{}
		for i := range r.Len() {
			list = append(list, plainValue(r.Index(i).Interface()))
		}
		return list
	case reflect.Struct:
		fields := map[string]any{}
		for i := range r.NumField() {
			if f := r.Field(i); !f.IsZero() && (f.Kind() != reflect.Slice || f.Len() > 0) {
				fields[r.Type().Field(i).Name] = plainValue(r.Field(i).Interface())
			}
		}
		return fields
	}
	return value
}

func bytesOf(r reflect.Value) []byte {
	b := make([]byte, r.Len())
	reflect.Copy(reflect.ValueOf(b), r)
	return b
}
