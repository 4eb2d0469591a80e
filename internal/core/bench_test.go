// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"flag"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

var benchAccounts = flag.Int("accounts", 100_000, "how many accounts BenchmarkAccounts has")

// BenchmarkAccounts fills a core with accounts of one live registration each and one guess made, past raft but not past the network's
// cryptography, and reports what each costs: in the core's memory, in sealed bytes for the disk, and at a start.
func BenchmarkAccounts(b *testing.B) {
	for b.Loop() {
		h := fill(b, *benchAccounts)
		n := float64(*benchAccounts)
		sealed := 0
		for k, v := range h.disk {
			sealed += len(k) + len(v)
		}
		b.ReportMetric(float64(sealed)/n, "sealed-B/account")
		b.ReportMetric(coreHeap(h)/n, "RAM-B/account")
	}
}

// BenchmarkBoot starts a core of that many accounts from its records.
func BenchmarkBoot(b *testing.B) {
	h := fill(b, *benchAccounts)
	keys := slices.Sorted(maps.Keys(h.disk))
	for b.Loop() {
		l := NewLoader(h.config, h.unseal)
		for _, k := range keys {
			if err := l.Add(Record{[]byte(k), h.disk[k]}); err != nil {
				b.Fatal(err)
			}
		}
		if _, _, err := l.Finish(nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(*benchAccounts)*float64(b.N)/b.Elapsed().Seconds(), "accounts/s")
}

// BenchmarkParts is what the parts of an operation cost the core's process, without the host's disk: a registration has three
// requests, one evaluation and two commands; a recovery has two requests, one KE2 and two commands.
func BenchmarkParts(b *testing.B) {
	h := newHost(b, nil)
	u := h.user("alice")
	id := &h.c.identity
	element, ke1 := blinded(b)
	envelope, _, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: &wire.RecoverStart{KE1: ke1}})
	if err != nil {
		b.Fatal(err)
	}
	request, _, sealer, err := id.hpke.Open(envelope)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("HPKE-open", func(b *testing.B) {
		for b.Loop() {
			if _, _, _, err := id.hpke.Open(envelope); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("answer-seal", func(b *testing.B) {
		for b.Loop() {
			sealer.Seal([32]byte{1}, &wire.RecoverStarted{})
		}
	})
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			if _, err := id.verifier.Verify(request.Token, int64(h.now)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("elements", func(b *testing.B) {
		for b.Loop() {
			checkBody(request.Body)
		}
	})
	b.Run("OPAQUE-evaluate", func(b *testing.B) {
		for b.Loop() {
			(&evaluateJob{identity: id, blinded: element}).Run()
		}
	})
	b.Run("OPAQUE-KE2", func(b *testing.B) {
		key, err := opaque.DeriveOPRFKey([64]byte{1})
		if err != nil {
			b.Fatal(err)
		}
		in := &opaque.KE2Input{OPRFKey: key, Record: someRecord(b), KE1: ke1, CredentialID: make([]byte, 16),
			Identities: opaque.Identities{Client: u.account[:], Server: id.fleet[:]}}
		for b.Loop() {
			if _, _, err := id.opaque.KE2(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raft-and-ledger", benchCommands)
}

// benchCommands has one command a time proposed, sealed for the log, committed and applied.
func benchCommands(b *testing.B) {
	const n = 1000
	h, ids := fill(b, n), accounts(n)
	for i := 0; b.Loop(); i++ {
		serial := wire.Serial(2 + i/2/n)
		if i%2 == 0 {
			h.apply(b, ids[i/2%n], &ledger.Charge{ID: wire.RegistrationID{1}, Serial: serial, Element: wire.ElementDigest{byte(serial)}})
		} else {
			h.apply(b, ids[i/2%n], &ledger.Prove{ID: wire.RegistrationID{1}, Serial: serial})
		}
	}
}

func accounts(n int) []wire.AccountID {
	ids := make([]wire.AccountID, n)
	for i := range ids {
		binary.BigEndian.PutUint64(ids[i][:], uint64(i)*0x9e3779b97f4a7c15)
	}
	return ids
}

// fill makes a host of so many accounts, with everything in a snapshot.
func fill(b *testing.B, n int) *host {
	h := newHost(b, nil)
	for _, id := range accounts(n) {
		h.apply(b, id, &ledger.Register{ID: wire.RegistrationID{1}, KSF: someKSF})
		h.apply(b, id, &ledger.Confirm{ID: wire.RegistrationID{1}})
		h.apply(b, id, &ledger.Charge{ID: wire.RegistrationID{1}, Serial: 1, Element: wire.ElementDigest{1}})
		h.pass(1) // for snapshots now and then
	}
	h.pass(11 * 60_000)
	if h.c.Stats().Accounts != uint64(n) || h.c.anyDirty() {
		b.Fatalf("%+v", h.c.Stats())
	}
	return h
}

// apply has an operation committed and applied.
func (h *host) apply(b *testing.B, id wire.AccountID, op ledger.Op) {
	if err := h.c.parts[0].propose(0, id, op); err != nil {
		b.Fatal(err)
	}
	before := h.c.parts[0].applied
	if h.step(); h.c.parts[0].applied != before+1 {
		b.Fatal("not committed")
	}
}

// coreHeap returns what the heap loses with the core.
func coreHeap(h *host) float64 {
	with := heap()
	h.c = nil
	without := heap()
	runtime.KeepAlive(h) // the disk is no part of it
	return with - without
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
