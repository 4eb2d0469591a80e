// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/pkcs11"
	"github.com/coffer-backup/coffer/seal/sealtest/emulated"
	"github.com/coffer-backup/coffer/seal/tpm2"
	"github.com/coffer-backup/coffer/wire"
)

// thief has kept every image of a node's disk from its beginning, which is less than every record that ever was on it, and every
// image of its sealer's folder.
type thief struct {
	t       *testing.T
	h       *host
	folder  string
	open    func(folder string) (seal.Sealer, error) // at the hardware as it is now
	records []Record
	folders []string
}

func (k *thief) watch(h *host) {
	k.h = h
	s, err := k.open(k.folder)
	if err != nil {
		k.t.Fatal(err)
	}
	h.real, h.config.Tier = watched{s, k}, string(s.Tier())
	h.onDisk = func(r Record) { k.records = append(k.records, r) }
}

// watched is a sealer whose folder is copied after each change.
type watched struct {
	seal.Sealer
	k *thief
}

func (s watched) NewKey(ctx context.Context) (seal.KeyID, error) {
	id, err := s.Sealer.NewKey(ctx)
	s.k.copyFolder()
	return id, err
}

func (s watched) Destroy(ctx context.Context, id seal.KeyID) error {
	err := s.Sealer.Destroy(ctx, id)
	s.k.copyFolder()
	return err
}

func (k *thief) copyFolder() {
	k.t.Helper()
	to := filepath.Join(k.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(k.folder)); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		k.t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Chmod(name, 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	k.folders = append(k.folders, to)
}

// reads returns the plaintext of all that opens now with one opening of the sealer.
func (k *thief) reads(unseal Unseal) (plain [][]byte) {
	epochs, buckets := map[string]epochKey{}, map[string][32]byte{}
	fleet := k.h.c.identity.fleet // no secret
	tried := map[string]bool{}
	for _, r := range k.records {
		if key := string(r.Key); key == keyFarewell {
			if head, _, rest, err := openHead(r.Value); err == nil {
				if key, err := unseal(head.keyID, head.sealed, farewellAAD()); err == nil {
					farewell, err := unsealAll(newGCM(wire.DeriveKey(key, wire.DomainFarewell, nil)), rest, []byte(wire.DomainFarewell), r.Value[:len(r.Value)-len(rest)])
					if err != nil {
						k.t.Errorf("a farewell whose key opens does not: %v", err)
					}
					plain = append(plain, farewell)
				}
			}
			continue
		} else if key != keyManifest && key != keyNextEpoch {
			continue
		}
		head, _, _, err := openHead(r.Value)
		if err != nil || tried[head.keyID] && epochs[head.keyID].log == nil {
			continue
		}
		tried[head.keyID] = true
		epoch, clear, rest, err := openEpoch(r.Value, unseal)
		if err != nil {
			continue
		}
		epochs[head.keyID] = epoch
		if string(r.Key) != keyManifest {
			continue
		}
		text, err := unsealAll(epoch.manifest, rest, []byte(wire.DomainManifest), clear)
		if err != nil {
			k.t.Errorf("a manifest whose key opens does not: %v", err)
			continue
		}
		plain = append(plain, bytes.Clone(text))
		m, err := decodeManifest(text)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, b := range m.buckets {
			buckets[string(keyBucket(b.partition, b.number, b.epoch))+string(binary.BigEndian.AppendUint64(nil, uint64(len(buckets))))] = b.key
		}
	}
	for _, r := range k.records {
		if bytes.HasPrefix(r.Key, []byte(prefixLog)) || bytes.HasPrefix(r.Key, []byte(prefixState)) {
			for _, e := range epochs {
				if text, err := unsealAll(e.log, r.Value, fleet[:], r.Key); err == nil {
					plain = append(plain, text)
				}
			}
		}
		for name, key := range buckets {
			if bytes.HasPrefix([]byte(name), r.Key) {
				if text, err := openBucket(key, fleet, r); err == nil {
					plain = append(plain, text)
				}
			}
		}
	}
	return plain
}

var unsealAll = unseal

// secret is what a registration must not be read from any more.
type secret struct {
	name  string
	parts [][]byte
}

// recovers tells whose secrets are in what a thief reads.
func recovers(plain [][]byte, secrets []secret) (names []string) {
	for _, s := range secrets {
		found := false
		for _, part := range s.parts {
			for _, text := range plain {
				found = found || bytes.Contains(text, part)
			}
		}
		if found {
			names = append(names, s.name)
		}
	}
	return names
}

// secretOf is what the vault has of an account's first registration.
func (f *fleet) secretOf(name string) secret {
	f.t.Helper()
	p := f.leader(0).c.parts[0]
	account := f.leader(0).user(name).account
	a, err := ledger.Decode(p.ledger.list[p.c.identity.bucketOf(account)].get(account))
	if err != nil {
		f.t.Fatal(err)
	}
	r := &a.Registrations[0]
	return secret{name, [][]byte{r.OPRFKey[:], r.Record[:32], r.Record[len(r.Record)-32:]}}
}

// TestErasedForEver: three nodes whose keys are in two TPMs and a token. A thief has all that was ever on their disks, and the hardware as it is. What was destroyed
// or replaced he recovers until the node's rotation, and from then on not, from anything that he has kept.
func TestErasedForEver(t *testing.T) {
	thieves := []*thief{nil, thiefWithTPM(t), thiefWithTPM(t), thiefWithToken(t)}
	const rotateMs = 2000
	f := newFleetOf(t, 3, func(h *host) {
		counter(h)
		h.config.RotateMs, h.policy.CooldownMs, h.policy.ProvableMs = rotateMs, 0, rotateMs
		thieves[1].watch(h)
	}, func(h *host, s Slot) { thieves[s].watch(h) })
	now := func(s Slot, secrets ...secret) []string {
		return recovers(thieves[s].reads(realUnseal(t, f.hosts[s].real)), secrets)
	}
	expect := func(what string, got []string, want int) {
		t.Helper()
		if len(got) != want {
			t.Errorf("%s: the thief recovers %v, and not %d", what, got, want)
		}
	}
	var all []secret
	for _, name := range []string{"deleted", "replaced", "exhausted", "lives"} {
		f.register(name)
		all = append(all, f.secretOf(name))
	}
	f.pass(3 * rotateMs) // they come into buckets
	f.register("somebody")
	f.pass(3 * rotateMs)
	victims, lives := all[:3], all[3]

	f.hosts[2].sleep()
	f.hosts[3].sleep()
	id := func(name string) wire.RegistrationID {
		return wantOf[*wire.StatusAnswer](f, name, &wire.Status{}).Registrations[0].ID
	}
	proof := wire.ManageSecret{1}
	wantOf[*wire.Deleted](f, "deleted", &wire.Delete{Registration: id("deleted"), Proof: &proof})
	f.register("replaced") // with the same K: the first dies at once
	exhausted := id("exhausted")
	for serial := range wire.Serial(10) {
		f.guess("exhausted", exhausted, serial+1)
	}
	for s := Slot(2); s <= 3; s++ {
		expect(fmt.Sprintf("slot %d, before its rotation", s), now(s, victims...), 3)
	}
	for s := Slot(1); s <= 3; s++ { // of which some can make no new key
		var stored [][]byte
		for _, r := range thieves[s].records {
			stored = append(stored, r.Value)
		}
		expect("in the clear on the disk", recovers(stored, all), 0)
	}
	f.pass(int(f.hosts[1].policy.ProvableMs))    // the last guess can no longer be proved,
	f.pass(100 * (bucketCount/sweepBuckets + 1)) // and the leader has come by
	f.pass(3 * rotateMs)
	f.same()
	expect("slot 1, after its rotation", now(1, victims...), 0)
	expect("what was not destroyed, at slot 1", now(1, lives), 1)
	for s := Slot(2); s <= 3; s++ {
		expect(fmt.Sprintf("slot %d, whose sealer does nothing", s), now(s, victims...), 3)
		if l := f.leader(0); l.unerasedAt(s) <= l.c.Stats().ErasedWithin {
			t.Errorf("slot %d is no straggler: %d ms", s, l.unerasedAt(s))
		}
		f.hosts[s].wake()
	}
	f.pass(3 * rotateMs)
	for s := Slot(1); s <= 3; s++ {
		expect(fmt.Sprintf("slot %d, after its rotation", s), now(s, victims...), 0)
		if l := f.leader(0); l.unerasedAt(s) > l.c.Stats().ErasedWithin {
			t.Errorf("slot %d is a straggler: %d ms", s, l.unerasedAt(s))
		}
	}
	for s := Slot(3); s >= 1; s-- { // their farewells, too
		f.stop(s)
	}
	f.startAll()
	f.until("it serves", func() bool { return f.leader(0) != nil })
	f.register("afterwards")
	f.pass(3 * rotateMs)

	// Each image of the folder beside the hardware as it is now: the last ones open what lives.
	for s := Slot(1); s <= 3; s++ {
		k := thieves[s]
		if err := f.hosts[s].real.Close(); err != nil {
			t.Fatal(err)
		}
		found := 0
		for n, folder := range append(k.folders, k.folder) {
			opened, err := k.open(folder)
			if err != nil {
				continue // an older table, which the TPM no longer knows
			}
			plain := k.reads(realUnseal(t, opened))
			expect(fmt.Sprintf("slot %d, folder %d of %d", s, n, len(k.folders)), recovers(plain, victims), 0)
			found += len(recovers(plain, []secret{lives}))
			if err := opened.Close(); err != nil {
				t.Error(err)
			}
		}
		if found == 0 {
			t.Errorf("slot %d: the thief recovers nothing at all, so this shows nothing", s)
		}
		t.Logf("slot %d: %d records and %d folders were kept; %d of these open", s, len(k.records), len(k.folders), found)
	}
}

func thiefWithTPM(t *testing.T) *thief {
	tpm := emulated.NewTPM(t)
	config := func(folder string) tpm2.Config { return tpm2.Config{Folder: folder, Device: tpm.Socket} }
	k := &thief{t: t, folder: filepath.Join(t.TempDir(), "keys")}
	k.made(tpm2.Create(t.Context(), config(k.folder)))
	k.open = func(folder string) (seal.Sealer, error) { return tpm2.Open(t.Context(), config(folder)) }
	return k
}

func (k *thief) made(s seal.Sealer, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		k.t.Fatal(err)
	}
}

func thiefWithToken(t *testing.T) *thief {
	token := emulated.NewToken(t)
	t.Setenv(emulated.ConfVariable, token.Conf)
	config := func(folder string) pkcs11.Config {
		return pkcs11.Config{Folder: folder, Module: token.Module, Token: emulated.Label, PIN: func() ([]byte, error) { return []byte(emulated.PIN), nil }}
	}
	k := &thief{t: t, folder: filepath.Join(t.TempDir(), "keys")}
	k.made(pkcs11.Create(t.Context(), config(k.folder)))
	k.open = func(folder string) (seal.Sealer, error) { return pkcs11.Open(t.Context(), config(folder)) }
	return k
}
