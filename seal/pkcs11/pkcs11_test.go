// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
)

var (
	secret = []byte("epoch key")
	aad    = []byte("epoch 3")
)

func TestConformance(t *testing.T) {
	hsm := newSoftHSM(t)
	sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		config := hsm.config(t)
		s := must(Create(t.Context(), config))(t)
		return s, func() seal.Sealer {
			s.Close()
			s = must(Open(t.Context(), config))(t)
			return s
		}
	})
}

// made is a sealer with one key, and what that key has sealed.
func made(t testing.TB, config Config) (s *Sealer, id seal.KeyID, sealed []byte) {
	t.Helper()
	s = must(Create(t.Context(), config))(t)
	t.Cleanup(func() { s.Close() })
	id = must(s.NewKey(t.Context()))(t)
	return s, id, must(s.Seal(t.Context(), id, secret, aad))(t)
}

func opens(t testing.TB, s *Sealer, id seal.KeyID, sealed []byte) {
	t.Helper()
	if got, err := s.Open(t.Context(), id, sealed, aad); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%q, %v", got, err)
	}
}

func refuses(t testing.TB, s *Sealer, id seal.KeyID, sealed []byte, want error) {
	t.Helper()
	if got, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, want) || got != nil {
		t.Fatalf("%q, %v; want %v", got, err, want)
	}
}

// TestKeysStayInTheToken: whoever is logged in can neither read a key, nor copy it, nor make it readable.
func TestKeysStayInTheToken(t *testing.T) {
	s, id, _ := made(t, newSoftHSM(t).config(t))
	p, session := s.link.p.(*pkcs11.Ctx), s.link.session
	key := must(s.link.key(id))(t)
	if got, err := p.GetAttributeValue(session, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)}); err == nil {
		t.Errorf("read: %d attributes", len(got))
	}
	if _, err := p.CopyObject(session, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, "copy")}); err == nil {
		t.Error("copied")
	}
	for _, attribute := range []uint{pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_WRAP, pkcs11.CKA_COPYABLE} {
		if err := p.SetAttributeValue(session, key, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, true)}); err == nil {
			t.Errorf("attribute %#x was set", attribute)
		}
	}
	if _, err := p.WrapKey(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_WRAP, nil)}, key, key); err == nil {
		t.Error("wrapped")
	}
}

// TestNodesShareAToken: one sees nothing of the other's keys, and leaves them alone when it goes.
func TestNodesShareAToken(t *testing.T) {
	hsm := newSoftHSM(t)
	mine, theirs := hsm.config(t), hsm.config(t)
	s, id, sealed := made(t, mine)
	other, otherID, otherSealed := made(t, theirs)
	refuses(t, other, id, sealed, seal.ErrNoKey)
	if ids := must(other.Keys(t.Context()))(t); len(ids) != 1 || ids[0] != otherID {
		t.Errorf("%v", ids)
	}
	if err := other.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	other.Close()
	if err := Remove(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	opens(t, s, id, sealed)
	if hsm.objects() != 3 { // the anchor, the owner and the key
		t.Errorf("%d objects", hsm.objects())
	}
	if _, err := Open(t.Context(), theirs); !errors.Is(err, ErrUnfinished) {
		t.Errorf("removed: %v", err)
	}
	other, _, _ = made(t, theirs)
	refuses(t, other, otherID, otherSealed, seal.ErrNoKey)
}

func TestCreateRefusesKeys(t *testing.T) {
	config := newSoftHSM(t).config(t)
	s, _, _ := made(t, config)
	if _, err := Create(t.Context(), config); !errors.Is(err, seal.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	s.Close()
	if _, err := Create(t.Context(), config); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over keys: %v", err)
	}
}

func TestConfig(t *testing.T) {
	hsm := newSoftHSM(t, "twin", "twin")
	for name, c := range map[string]struct {
		wrong func(*Config)
		want  error
	}{
		"relative module": {func(c *Config) { c.Module = "libsofthsm2.so" }, ErrConfig},
		"no module":       {func(c *Config) { c.Module = "/nowhere.so" }, ErrUnavailable},
		"no token":        {func(c *Config) { c.Token = "nobody" }, ErrNoToken},
		"two tokens":      {func(c *Config) { c.Token = "twin" }, ErrNoToken},
		"other serial":    {func(c *Config) { c.Serial = "0000" }, ErrNoToken},
		"no PIN":          {func(c *Config) { c.PIN = nil }, ErrConfig},
		"empty PIN":       {func(c *Config) { c.PIN = says("") }, ErrConfig},
	} {
		config := hsm.config(t)
		c.wrong(&config)
		if _, err := Create(t.Context(), config); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		// Nothing that it left is in the way.
		config = hsm.config(t)
		must(Create(t.Context(), config))(t).Close()
	}
}

// TestForeignToken: another token of the same label has none of the keys, and is told from the right one.
func TestForeignToken(t *testing.T) {
	config := newSoftHSM(t).config(t)
	s, id, sealed := made(t, config)
	s.Close()

	elsewhere := newSoftHSM(t)
	if _, err := Open(t.Context(), config); !errors.Is(err, ErrOtherToken) || !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("%v", err)
	}
	other, _, _ := made(t, elsewhere.config(t))
	refuses(t, other, id, sealed, seal.ErrNoKey)
}

// TestCleared: the right token, from which somebody took everything.
func TestCleared(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, _, _ := made(t, config)
	s.Close()
	objects := must(filepath.Glob(filepath.Join(hsm.dir, "*", "*-*.object")))(t)
	for _, name := range objects {
		os.Remove(name)
	}
	if _, err := Open(t.Context(), config); !errors.Is(err, ErrCleared) || !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("%v", err)
	}
}

// TestDestroyed keeps copies of the folder and all sealed bytes: they open nothing once the key is destroyed. A copy of the token
// itself does, as README.md says: SoftHSM2 is files.
func TestDestroyed(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, id, sealed := made(t, config)
	folderBefore, tokensBefore := filepath.Join(t.TempDir(), "folder"), filepath.Join(t.TempDir(), "tokens")
	s.Close()
	copyTree(t, config.Folder, folderBefore)
	copyTree(t, hsm.dir, tokensBefore)

	s = must(Open(t.Context(), config))(t)
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if hsm.objects() != 2 {
		t.Errorf("%d objects", hsm.objects())
	}
	s.Close()
	old := config
	old.Folder = folderBefore
	for _, c := range []Config{config, old} {
		s = must(Open(t.Context(), c))(t)
		refuses(t, s, id, sealed, seal.ErrNoKey)
		s.Close()
	}

	os.RemoveAll(hsm.dir)
	copyTree(t, tokensBefore, hsm.dir)
	s = must(Open(t.Context(), config))(t)
	defer s.Close()
	opens(t, s, id, sealed) // what SoftHSM2 cannot promise
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	names := must(fs.Glob(os.DirFS(to), "*"))(t)
	for _, name := range names {
		if info := must(os.Stat(filepath.Join(to, name)))(t); info.Mode().IsRegular() {
			os.Chmod(filepath.Join(to, name), 0o600)
		}
	}
}

// FuzzAnchor: an anchor that is accepted is written so that it reads the same.
func FuzzAnchor(f *testing.F) {
	f.Add(must(json.Marshal(anchor{Version: version, Name: make([]byte, nameSize), Serial: "02e2"}))(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnchor(text)
		if err != nil {
			if !errors.Is(err, seal.ErrTampered) {
				t.Error(err)
			}
			return
		}
		if b := must(parseAnchor(must(json.Marshal(a))(t)))(t); !reflect.DeepEqual(a, b) {
			t.Errorf("%+v became %+v", a, b)
		}
	})
}
