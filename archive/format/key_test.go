// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// leaks tells whether a text shows eight bytes of a secret that follow each other, however they are written.
func leaks(text string, secret []byte) bool {
	for i := range len(secret) - 7 {
		part := secret[i : i+8]
		decimal := strings.Trim(fmt.Sprint(part), "[]")
		for _, shown := range []string{
			fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), fmt.Sprintf("% x", part), fmt.Sprintf("%x %x %x %x", part[:2], part[2:4], part[4:6], part[6:]),
			strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"), decimal, strings.ReplaceAll(decimal, " ", ","),
			strings.Trim(fmt.Sprintf("%o", part), "[]"), strings.Trim(fmt.Sprintf("%b", part), "[]"), strings.Trim(fmt.Sprintf("%U", part), "[]"),
			strings.Trim(fmt.Sprintf("%c", part), "[]"), strings.Trim(fmt.Sprintf("%q", part), `"`), string(part),
		} {
			if strings.Contains(text, shown) {
				return true
			}
		}
		if i%3 == 0 && strings.Contains(text, base64.StdEncoding.EncodeToString(part[:6])) {
			return true
		}
	}
	return false
}

// printed shows a value in all the ways in which a log or an error may come to show one.
func printed(value any) map[string]string {
	texts := map[string]string{}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %t %p %w %T %! %*d %[2]*[1]d") {
		texts[verb] = fmt.Sprintf(verb, value, value)
		texts["error "+verb] = fmt.Errorf(verb, value).Error() //nolint
	}
	text, err := json.Marshal(value)
	texts["json"] = fmt.Sprint(string(text), err)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", value, slog.Group("g", "k", value))
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", value, slog.Group("g", "k", value))
	texts["slog"] = log.String()
	return texts
}

func TestSecretsDoNotPrint(t *testing.T) {
	key, kr := NewKey(), NewKeyring(NewID()).Next()
	secrets := append(kr.secrets(), key.b.reveal())
	type exported struct {
		Key     Key
		Keyring *Keyring
		Keys    []Key
		ByName  map[string]Key
	}
	type hidden struct {
		key     Key
		pointer *Key
		keyring Keyring
		any     any
	}
	for name, value := range map[string]any{
		"key": key, "pointer": &key, "keyring": kr, "keyring value": *kr,
		"exported": exported{key, kr, []Key{key}, map[string]Key{"k": key}},
		"hidden":   hidden{key, &key, *kr, key}, "hidden pointer": &hidden{key, &key, *kr, key},
	} {
		for how, text := range printed(value) {
			for _, s := range secrets {
				if leaks(text, s) {
					t.Errorf("%s shows a secret by %s", name, how)
				}
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(verb, key); text != "(redacted)" {
			t.Errorf("%s shows a key as %s", verb, text)
		}
	}
	if text, err := json.Marshal(key); string(text) != `"(redacted)"` || err != nil {
		t.Errorf("JSON shows a key as %s, %v", text, err)
	}
}

func TestLeaksAreFound(t *testing.T) {
	secret := named("secret")
	bare := struct{ B []byte }{secret}
	for _, how := range strings.Fields("%v %+v %#v %s %q %x %X %d %o %b %c %U %p %w json slog") {
		if !leaks(printed(bare)[how], secret) {
			t.Errorf("the test does not see a secret that is shown by %s: %s", how, printed(bare)[how])
		}
	}
}

func TestKeyErrorsQuoteNothing(t *testing.T) {
	digits := hex.EncodeToString(named("typed"))
	for _, typed := range []string{digits[:40], digits + "00", digits[:60] + "zzzz", "0x" + digits, strings.ToUpper(digits) + "!"} {
		k, err := ParseKey(typed)
		if !errors.Is(err, ErrKeyDigits) || !k.IsZero() {
			t.Errorf("ParseKey: %v", err)
		}
		if err != nil && leaks(err.Error(), named("typed")) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestKeyDigits(t *testing.T) {
	seen := map[Key]bool{}
	for range 100 {
		k := NewKey()
		digits := k.Digits()
		again, err := ParseKey(digits)
		if err != nil || again != k {
			t.Fatalf("Digits and ParseKey disagree: %v", err)
		}
		groups := strings.Split(digits, " ")
		if len(groups) != 16 || len(digits) != 64+15 || strings.ToLower(digits) != digits {
			t.Fatal("not 16 groups of four lower-case digits")
		}
		if seen[k] {
			t.Fatal("the same key twice")
		}
		seen[k] = true
	}
}

func TestZeroAndWipedKeys(t *testing.T) {
	k := NewKey()
	if k.IsZero() || !(Key{}).IsZero() {
		t.Error("IsZero is wrong")
	}
	object := NewKeyring(NewID()).Wrap(k)
	k.Wipe()
	if !k.IsZero() || k.Digits() != "" {
		t.Error("Wipe leaves something")
	}
	panics(t, "wrapping under no key", func() { NewKeyring(NewID()).Wrap(k) })
	if _, err := UnwrapKeyring(ID(object[8:24]), k, object); !errors.Is(err, ErrWrongKey) {
		t.Errorf("opening with no key: %v", err)
	}
	// Anybody can make a keyring under 32 zeros; who forgot to set a key must not open it.
	zeros, err := ParseKey(strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	forged := NewKeyring(ID(specArchive)).Wrap(zeros)
	if _, err := UnwrapKeyring(ID(specArchive), Key{}, forged); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a keyring under zeros opens without a key: %v", err)
	}
}

func TestWipedKeyringSealsNothing(t *testing.T) {
	kr := NewKeyring(NewID())
	next, masters := kr.Next(), kr.masters
	object := kr.Seal(TypeHead, []byte("head"))
	kr.Wipe()
	if masters[0] != (masked{}) {
		t.Error("Wipe leaves the master key")
	}
	panics(t, "sealing after Wipe", func() { kr.Seal(TypeHead, nil) })
	panics(t, "a pack after Wipe", func() { kr.NewPack(nil) })
	panics(t, "wrapping after Wipe", func() { kr.Wrap(NewKey()) })
	if _, err := kr.Open(TypeHead, object); !errors.Is(err, ErrDamaged) {
		t.Errorf("opening after Wipe: %v", err)
	}
	if _, err := next.Open(TypeHead, object); err != nil {
		t.Errorf("the next keyring went with it: %v", err)
	}
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}
