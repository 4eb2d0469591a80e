// SPDX-License-Identifier: Apache-2.0

package sealtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
	"github.com/coffer-backup/coffer/seal/software"
)

// broken is a sealer with one broken promise.
type broken struct {
	seal.Sealer
	fault string
	ghost map[seal.KeyID]bool // destroyed, says the fault
}

// faults names, for each broken promise, the subtest that must find it.
var faults = []struct{ fault, subtest string }{
	{"none", ""},
	{"aad is ignored", "wrong aad"},
	{"tampering is ErrNoKey", "altered bytes"},
	{"bytes with the error", "altered bytes"},
	{"sizes are not checked", "sizes"},
	{"destroyed until reopen", "destroy"},
	{"destroying again fails", "destroy"},
	{"destroyed keys are listed", "keys lists"},
	{"the context is ignored", "cancelled before"},
	{"a cancelled call closes it", "cancelled meanwhile"},
	{"the aad is wiped", "slices are the caller's"},
	{"no tier", "tier"},
	{"closing again fails", "closed"},
}

func (b *broken) is(fault string) bool { return b.fault == fault }

func (b *broken) Seal(ctx context.Context, id seal.KeyID, secret, aad []byte) ([]byte, error) {
	switch {
	case b.is("aad is ignored"):
		aad = nil
	case b.is("sizes are not checked") && len(aad) > seal.MaxAAD:
		aad = aad[:seal.MaxAAD]
	case b.is("the aad is wiped"):
		defer clear(aad)
	}
	return b.Sealer.Seal(ctx, id, secret, aad)
}

func (b *broken) Open(ctx context.Context, id seal.KeyID, sealed, aad []byte) ([]byte, error) {
	switch {
	case b.is("aad is ignored"):
		aad = nil
	case b.is("a cancelled call closes it"):
		context.AfterFunc(ctx, func() { b.Sealer.Close() })
	}
	if b.ghost[id] {
		return nil, seal.ErrNoKey
	}
	secret, err := b.Sealer.Open(ctx, id, sealed, aad)
	if b.is("tampering is ErrNoKey") && errors.Is(err, seal.ErrTampered) {
		return nil, seal.ErrNoKey
	}
	if b.is("bytes with the error") && err != nil {
		return []byte{0}, err
	}
	return secret, err
}

func (b *broken) Destroy(ctx context.Context, id seal.KeyID) error {
	switch {
	case b.is("destroyed until reopen"):
		b.ghost[id] = true
		return nil
	case b.is("the context is ignored"):
		ctx = context.WithoutCancel(ctx)
	case b.is("destroying again fails"):
		if ids, err := b.Sealer.Keys(ctx); err == nil && !slices.Contains(ids, id) {
			return seal.ErrNoKey
		}
	case b.is("destroyed keys are listed"):
		b.ghost[id] = true
	}
	return b.Sealer.Destroy(ctx, id)
}

func (b *broken) Keys(ctx context.Context) ([]seal.KeyID, error) {
	ids, err := b.Sealer.Keys(ctx)
	if b.is("destroyed keys are listed") {
		for id := range b.ghost {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func (b *broken) Tier() seal.Tier {
	if b.is("no tier") {
		return ""
	}
	return b.Sealer.Tier()
}

func (b *broken) Close() error {
	_, err := b.Sealer.Keys(context.Background())
	if b.is("closing again fails") && errors.Is(err, seal.ErrClosed) {
		return err
	}
	return b.Sealer.Close()
}

const faultVariable = "COFFER_SEALTEST_FAULT"

// TestBroken runs the suite on a broken sealer in a process of its own, because it must fail there.
func TestBroken(t *testing.T) {
	for _, f := range faults {
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			test := exec.Command(os.Args[0], "-test.run=^TestSuite$")
			test.Env = append(os.Environ(), faultVariable+"="+f.fault)
			out, err := test.CombinedOutput()
			found := strings.Contains(string(out), "--- FAIL: TestSuite/"+strings.ReplaceAll(f.subtest, " ", "_"))
			if (err != nil) != (f.subtest != "") || found != (f.subtest != "") {
				t.Errorf("subtest %q found it: %v (%v)\n%s", f.subtest, found, err, out)
			}
		})
	}
}

// TestSuite is what TestBroken runs.
func TestSuite(t *testing.T) {
	fault := os.Getenv(faultVariable)
	if fault == "" {
		t.Skip("TestBroken runs it")
	}
	sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		dir := t.TempDir() + "/keys"
		inner, err := software.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		reopen := func() seal.Sealer {
			inner.Close()
			if inner, err = software.Open(dir); err != nil {
				t.Fatal(err)
			}
			return &broken{inner, fault, map[seal.KeyID]bool{}}
		}
		return reopen(), reopen
	})
}
