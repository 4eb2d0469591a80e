// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/coffer-backup/coffer/seal"
)

// says is a callback that returns a copy, because it is wiped.
func says(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

// TestWrongAuth: a wrong auth value reaches the TPM once, and never again by itself.
func TestWrongAuth(t *testing.T) {
	tpm := newTPM(t)
	config := tpm.config(t)
	config.Auth = says("correct horse")
	s := must(Create(t.Context(), config))(t)
	id := must(s.NewKey(t.Context()))(t)
	sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
	s.Close()

	wrong := config
	wrong.Auth = says("battery staple")
	if _, err := Open(t.Context(), wrong); !errors.Is(err, ErrAuth) {
		t.Fatalf("a wrong auth value: %v", err)
	}
	if n := tpm.wrongTries(); n != 1 {
		t.Errorf("the TPM has counted %d wrong tries", n)
	}
	for name, auth := range map[string]func() ([]byte, error){
		"none":     nil,
		"empty":    says(""),
		"a prompt": func() ([]byte, error) { return nil, errors.New("no terminal") },
	} {
		wrong.Auth = auth
		if _, err := Open(t.Context(), wrong); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	s = must(Open(t.Context(), config))(t)
	must(s.Open(t.Context(), id, sealed, aad))(t)
	// As if the value had been changed in the TPM below an open sealer.
	s.auth = s.anchor.auth([]byte("another"))
	for range 3 {
		if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrAuth) {
			t.Errorf("%v", err)
		}
	}
	if n := tpm.wrongTries(); n != 2 {
		t.Errorf("the TPM has counted %d wrong tries", n)
	}
	s.Close()
}

// TestLockout: a TPM that is locked is named, and no wrong value of somebody else's locks out a node that has none.
func TestLockout(t *testing.T) {
	tpm := newTPM(t)
	_, without, id, sealed := made(t, tpm)
	config := tpm.config(t)
	config.Auth = says("correct horse")
	must(Create(t.Context(), config))(t).Close()
	wrong := config
	wrong.Auth = says("battery staple")
	for range 64 {
		if _, err := Open(t.Context(), wrong); errors.Is(err, ErrLockout) {
			break
		} else if !errors.Is(err, ErrAuth) {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), config); !errors.Is(err, ErrLockout) {
		t.Errorf("the right auth value at a locked TPM: %v", err)
	}
	must(without.Open(t.Context(), id, sealed, aad))(t)
	tpm.talk(func(c *chip) {
		// TPM2_DictionaryAttackLockReset with an empty password, as tpm2_dictionarylockout --clear-lockout sends it.
		reset := must(hex.DecodeString("80020000001b00000139" + "4000000a" + "00000009" + "40000009" + "0000" + "00" + "0000"))(t)
		if response := must(c.tpm.Send(reset))(t); tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) != tpm2.TPMRCSuccess {
			t.Fatalf("% x", response)
		}
	})
	must(Open(t.Context(), config))(t).Close()
}

// TestPCR: what is bound to PCRs opens only while they are what they were, and a rebind is the way through an upgrade.
func TestPCR(t *testing.T) {
	tpm := newTPM(t)
	config := tpm.config(t)
	config.PCRs = []uint{7, 16}
	s := must(Create(t.Context(), config))(t)
	id := must(s.NewKey(t.Context()))(t)
	sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
	tpm.measure(15) // not one of ours
	must(s.Open(t.Context(), id, sealed, aad))(t)
	s.Close()

	loose, wide := config, config
	loose.PCRs, wide.PCRs = nil, []uint{4, 7, 16}
	for _, c := range []Config{loose, wide} {
		if _, err := Open(t.Context(), c); !errors.Is(err, ErrBinding) {
			t.Errorf("configured otherwise, %v: %v", c.PCRs, err)
		}
	}
	if err := Rebind(t.Context(), loose); err != nil { // before the upgrade
		t.Fatal(err)
	}
	tpm.measure(16)
	must(Open(t.Context(), loose))(t).Close()
	if err := Rebind(t.Context(), config); err != nil { // after it
		t.Fatal(err)
	}
	s = must(Open(t.Context(), config))(t)
	must(s.Open(t.Context(), id, sealed, aad))(t)
	tpm.measure(16) // nobody announced this one
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrPCR) {
		t.Errorf("with another PCR: %v", err)
	}
	s.Close()
	if _, err := Open(t.Context(), config); !errors.Is(err, ErrPCR) {
		t.Errorf("with another PCR: %v", err)
	}
	if err := Rebind(t.Context(), loose); !errors.Is(err, ErrPCR) {
		t.Errorf("rebound too late: %v", err)
	}
	if n := tpm.wrongTries(); n != 0 {
		t.Errorf("the TPM has counted %d wrong tries", n)
	}
	if n := len(must(Indexes(t.Context(), config))(t)); n != 1 {
		t.Errorf("%d indexes are left", n)
	}
}

// TestRebindLeavesNoOldWay: after a rebind, images from before it open nothing.
func TestRebindLeavesNoOldWay(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	s.Close()
	old := Config{Folder: image(t, config.Folder), Device: tpm.socket}
	config.PCRs = []uint{7}
	if err := Rebind(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	refuses(t, old, id, sealed, seal.ErrNoKey)
	s = must(Open(t.Context(), config))(t)
	defer s.Close()
	must(s.Open(t.Context(), id, sealed, aad))(t)
}

// measuring extends a PCR that is none of ours just before the index is used, as a kernel may.
type measuring struct {
	device
	t    *testing.T
	left *int
}

func (d measuring) Write(command []byte) (int, error) {
	code := tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
	if *d.left > 0 && (code == tpm2.TPMCCNVRead || code == tpm2.TPMCCNVExtend) {
		*d.left--
		extendPCR(d.t, &line{ctx: d.t.Context(), device: d.device}, 10)
	}
	return d.device.Write(command)
}

// TestOtherPCR: a PCR that the keys are not bound to may change at any time.
func TestOtherPCR(t *testing.T) {
	tpm := newTPM(t)
	config := tpm.config(t)
	config.PCRs = []uint{7}
	s := must(Create(t.Context(), config))(t)
	defer s.Close()
	id := must(s.NewKey(t.Context()))(t)
	left := 0
	s.dial = func(ctx context.Context) (device, bool, error) {
		d, alone, err := config.dial(ctx)
		return measuring{d, t, &left}, alone, err
	}
	for _, do := range []func() error{
		func() error { _, err := s.Keys(t.Context()); return err },
		func() error { return s.Destroy(t.Context(), id) },
	} {
		left = 3
		if err := do(); err != nil || left != 0 {
			t.Errorf("with %d changes left: %v", left, err)
		}
	}
}

func TestBadPCRs(t *testing.T) {
	tpm := newTPM(t)
	for _, pcrs := range [][]uint{{24}, {7, 7}, {7, 4}} {
		config := tpm.config(t)
		config.PCRs = pcrs
		if _, err := Create(t.Context(), config); !errors.Is(err, ErrBinding) {
			t.Errorf("%v: %v", pcrs, err)
		}
	}
}

// TestOwnerAuth: the owner's auth value is asked for when an index comes or goes, and at no other time.
func TestOwnerAuth(t *testing.T) {
	tpm := newTPM(t)
	tpm.talk(func(c *chip) {
		must(tpm2.HierarchyChangeAuth{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("landlord")},
		}.Execute(c.tpm))(t)
	})
	config := tpm.config(t)
	if _, err := Create(t.Context(), config); !errors.Is(err, ErrOwnerAuth) {
		t.Errorf("without: %v", err)
	}
	owned := config
	owned.OwnerAuth = says("landlord")
	must(Create(t.Context(), owned))(t).Close()
	s := must(Open(t.Context(), config))(t)
	id := must(s.NewKey(t.Context()))(t)
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := Remove(t.Context(), config); !errors.Is(err, ErrOwnerAuth) {
		t.Errorf("removed without: %v", err)
	}
	if err := Remove(t.Context(), owned); err != nil {
		t.Error(err)
	}
	if left := must(filepath.Glob(filepath.Join(config.Folder, "[at]*")))(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestNVFull: a TPM without room is named, with what could go; when something goes there is room.
func TestNVFull(t *testing.T) {
	tpm := newTPM(t)
	_, s, _, _ := made(t, tpm)
	leftover := tpm.config(t)
	must(Create(t.Context(), leftover))(t).Close() // its folder is deleted without Remove, say
	tpm.talk(func(c *chip) {
		for index, size := tpm2.TPMHandle(firstIndex), uint16(2048); size >= 8; {
			_, err := tpm2.NVDefineSpace{
				AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
				PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
					NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: size,
					Attributes: tpm2.TPMANV{OwnerRead: true, OwnerWrite: true},
				}),
			}.Execute(c.tpm)
			if errors.Is(err, tpm2.TPMRCNVSpace) {
				size /= 2
			} else if err != nil && !errors.Is(err, tpm2.TPMRCNVDefined) {
				t.Fatal(err)
			}
			index++
		}
	})
	config := tpm.config(t)
	_, err := Create(t.Context(), config)
	if !errors.Is(err, ErrNVFull) {
		t.Fatalf("%v", err)
	}
	t.Log(err)
	indexes := must(Indexes(t.Context(), config))(t)
	if len(indexes) != 2 {
		t.Fatalf("indexes: %v", indexes)
	}
	if err := RemoveIndex(t.Context(), config, firstIndex); err == nil {
		t.Error("removed another's index")
	}
	for _, index := range indexes {
		if index != s.anchor.Index {
			if err := RemoveIndex(t.Context(), config, index); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(Create(t.Context(), config))(t).Close()
	if got := must(Indexes(t.Context(), config))(t); len(got) != 2 {
		t.Errorf("indexes: %v", got)
	}
}
