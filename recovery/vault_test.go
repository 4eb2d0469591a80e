// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// vault is a core in a few lines: real envelopes, real OPAQUE, and the real rules of an account, checked at each
// step. Its tokens are "role:subject".
type vault struct {
	t           testing.TB
	mu          sync.Mutex
	hpke        *wire.FleetKey
	opaque      *opaque.ServerKeys
	descriptor  wire.Descriptor
	now         wire.UnixMs
	incarnation [32]byte // the secret of this run
	accounts    map[wire.AccountID]*account
	ksf         *wire.KSF                                        // what it claims instead of the stored one
	instead     func(kind wire.Kind, answer wire.Body) wire.Body // of the answer, when the core has acted already
}

type account struct {
	ledger.Account
	history ledger.History
	tickets map[string]*ledger.Register
	session *session
	charges int // guesses that were counted, ever
}

type session struct {
	registration wire.RegistrationID
	serial       wire.Serial
	server       opaque.ServerSession
}

const testIssuer = "https://issuer.test"

var errCut = errors.New("the line was cut")

func bytes32() (b [32]byte) { rand.Read(b[:]); return b }
func bytes64() (b [64]byte) { rand.Read(b[:]); return b }

func newVault(t testing.TB) *vault {
	v := &vault{t: t, now: 1_800_000_000_000, incarnation: bytes32(), accounts: map[wire.AccountID]*account{}}
	d := &v.descriptor
	rand.Read(d.Fleet[:])
	d.Epoch, d.Tier, d.Policy = 1, "software", wire.DefaultPolicy()
	p := &d.Policy
	p.Budget, p.Issuer, p.CoreAudience, p.GatewayAudience = 5, testIssuer, "core", "gateway"
	p.TokenKeys = []wire.TokenKey{{ID: "1", Algorithm: wire.EdDSA, Public: make([]byte, 32)}}
	var err error
	if v.hpke, err = wire.NewFleetKey(d.Fleet, bytes32()); err != nil {
		t.Fatal(err)
	}
	if v.opaque, err = opaque.DeriveServerKeys(bytes32()); err != nil {
		t.Fatal(err)
	}
	copy(d.HPKE[:], v.hpke.Public())
	d.OPAQUE = v.opaque.Public()
	return v
}

// Call implements Transport: a line that loses nothing.
func (v *vault) Call(_ context.Context, envelope []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	request, _, sealer, err := v.hpke.Open(envelope)
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		return wire.PlainRefusal(refusal), nil
	}
	role, subject, _ := strings.Cut(request.Token, ":")
	if role == "companion" && request.Body.Kind() != wire.KindStatus {
		return sealer.Seal(bytes32(), wire.Refuse(wire.CodeNotPrimary)), nil
	}
	id := wire.NewAccountID(testIssuer, subject)
	a := v.accounts[id]
	if a == nil {
		a = &account{tickets: map[string]*ledger.Register{}}
		v.accounts[id] = a
	}
	answer := v.answer(id, a, request.Body)
	if v.instead != nil {
		answer = v.instead(request.Body.Kind(), answer)
	}
	return sealer.Seal(bytes32(), answer), nil
}

// Descriptor implements Transport.
func (v *vault) Descriptor(context.Context) ([]byte, error) { return v.descriptor.Append(nil), nil }

func (v *vault) answer(id wire.AccountID, a *account, body wire.Body) wire.Body {
	switch b := body.(type) {
	case *wire.Status:
		return ledger.Status(v.now, &a.Account)
	case *wire.RegisterStart:
		return v.registerStart(a, b)
	case *wire.RegisterFinish:
		op := a.tickets[string(b.Ticket)]
		if op == nil {
			return wire.Refuse(wire.CodeTicket)
		}
		op.Record, op.SealedKey, op.Manage, op.KSF = b.Record, b.SealedKey, b.Manage, b.KSF
		return v.apply(a, op)
	case *wire.RegisterConfirm:
		return v.apply(a, &ledger.Confirm{ID: b.Registration, Manage: b.Manage.Hash(), Replaces: hashOf(b.Replaces)})
	case *wire.RecoverStart:
		return v.recoverStart(id, a, b)
	case *wire.RecoverFinish:
		return v.recoverFinish(a, b)
	case *wire.Delete:
		return v.apply(a, &ledger.Delete{ID: b.Registration, Proof: hashOf(b.Proof)})
	case *wire.PutFreshness:
		return v.apply(a, &ledger.PutFreshness{ID: b.Registration, Manage: b.Manage.Hash(), Freshness: b.Freshness})
	}
	return wire.Refuse(wire.CodeMalformed)
}

func hashOf(m *wire.ManageSecret) *wire.ManageHash {
	if m == nil {
		return nil
	}
	h := m.Hash()
	return &h
}

// do applies an operation and has its invariants checked.
func (v *vault) do(a *account, op ledger.Op) ledger.Outcome {
	before, err := ledger.Decode(string(a.Append(nil)))
	if err != nil {
		v.t.Error(err)
	}
	out := ledger.Apply(&v.descriptor.Policy, v.now, &a.Account, op)
	if err := ledger.CheckStep(&v.descriptor.Policy, v.now, before, &a.Account, op, out); err != nil {
		v.t.Error(err)
	}
	if err := a.history.Saw(&a.Account); err != nil {
		v.t.Error(err)
	}
	return out
}

func (v *vault) apply(a *account, op ledger.Op) wire.Body {
	switch out := v.do(a, op); {
	case out.Refusal != nil:
		return out.Refusal
	case out.Registered != nil:
		return out.Registered
	case out.Confirmed != nil:
		return out.Confirmed
	case out.Deleted != nil:
		return out.Deleted
	default:
		return out.FreshnessPut
	}
}

func (v *vault) registerStart(a *account, b *wire.RegisterStart) wire.Body {
	op := &ledger.Register{Ticket: a.Tickets, Generation: v.descriptor.Generation}
	rand.Read(op.ID[:])
	var err error
	if op.OPRFKey, err = opaque.DeriveOPRFKey(bytes64()); err != nil {
		v.t.Error(err)
	}
	response, err := opaque.RegistrationResponse(op.OPRFKey, v.opaque.Public(), b.Blinded)
	if err != nil {
		return wire.Refuse(wire.CodeElement)
	}
	a.tickets[string(op.ID[:])] = op
	return &wire.RegisterStarted{Registration: op.ID, Response: response, Ticket: op.ID[:]}
}

func (v *vault) recoverStart(id wire.AccountID, a *account, b *wire.RecoverStart) wire.Body {
	out := v.do(a, &ledger.Charge{ID: b.Registration, Serial: b.Serial, Element: wire.NewElementDigest(b.Registration, &b.KE1)})
	if out.Refusal != nil {
		return out.Refusal
	}
	charged := out.Charged
	if !charged.Repeated() {
		a.charges++
	}
	if err := a.history.Evaluated(charged); err != nil {
		v.t.Error(err)
	}
	ke2, server, err := v.opaque.KE2(&opaque.KE2Input{
		OPRFKey: charged.OPRFKey(), Record: charged.Record(), KE1: b.KE1, CredentialID: b.Registration[:],
		Identities: opaque.Identities{Client: id[:], Server: v.descriptor.Fleet[:]},
		Nonce:      v.prf("nonce", b), MaskingNonce: v.prf("masking", b), KeyShareSeed: v.prf("share", b),
	})
	if err != nil {
		v.t.Error(err)
		return wire.Refuse(wire.CodeElement)
	}
	a.session = &session{b.Registration, b.Serial, server}
	answer := &wire.RecoverStarted{
		KE2: ke2, KSF: charged.KSF(), GuessesLeft: charged.GuessesLeft(), LockedForMs: charged.LockedForMs(), Repeated: charged.Repeated(),
	}
	if v.ksf != nil {
		answer.KSF = *v.ksf
	}
	return answer
}

// prf gives what one incarnation puts into a KE2: the same for the same guess, unforeseeable for every other one.
func (v *vault) prf(purpose string, b *wire.RecoverStart) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %x %x %d %x", purpose, v.incarnation, b.Registration, b.Serial, b.KE1))
}

func (v *vault) recoverFinish(a *account, b *wire.RecoverFinish) wire.Body {
	s := a.session
	if s == nil || s.registration != b.Registration || s.serial != b.Serial {
		return wire.Refuse(wire.CodeSession)
	}
	if s.server.Finish(b.KE3[:]) != nil {
		return wire.Refuse(wire.CodeProof)
	}
	out := v.do(a, &ledger.Prove{ID: b.Registration, Serial: b.Serial})
	if out.Refusal != nil {
		return out.Refusal
	}
	a.history.Proved(b.Registration)
	answer := &wire.RecoverFinished{GuessesLeft: out.Proved.GuessesLeft, Freshness: out.Proved.Freshness}
	key := wire.DeriveKey(s.server.SessionKey[:], wire.DomainDelivery, s.registration[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		v.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		v.t.Fatal(err)
	}
	gcm.Seal(answer.Key[:0], make([]byte, 12), out.Proved.SealedKey[:], nil)
	return answer
}

// restart makes the vault forget what a core keeps in memory only.
func (v *vault) restart() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.incarnation = bytes32()
	for _, a := range v.accounts {
		a.session, a.tickets = nil, map[string]*ledger.Register{}
	}
}

func (v *vault) account(subject string) *account {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.accounts[wire.NewAccountID(testIssuer, subject)]
}

func (v *vault) charges(subject string) int {
	a := v.account(subject)
	v.mu.Lock()
	defer v.mu.Unlock()
	return a.charges
}

// line is a Transport on which things happen: each is asked before and after the vault has seen the nth call, from 1.
type line struct {
	Transport
	mu     sync.Mutex
	calls  int
	before func(n int) error
	after  func(n int, answer []byte) ([]byte, error)
}

func (l *line) Call(ctx context.Context, envelope []byte) ([]byte, error) {
	l.mu.Lock()
	l.calls++
	n := l.calls
	l.mu.Unlock()
	if l.before != nil {
		if err := l.before(n); err != nil {
			return nil, err
		}
	}
	answer, err := l.Transport.Call(ctx, envelope)
	if err == nil && l.after != nil {
		return l.after(n, answer)
	}
	return answer, err
}

type role string

func (r role) Token(context.Context, string) (string, error) { return string(r), nil }

// device returns a client of an account that never waits by the clock.
func (v *vault) device(subject string, over Transport) *Client {
	return v.deviceAs("primary", subject, over)
}

func (v *vault) deviceAs(as, subject string, over Transport) *Client {
	c, err := New(Config{
		Descriptor: &v.descriptor, Account: wire.NewAccountID(testIssuer, subject), Transport: over, Tokens: role(as + ":" + subject),
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

const right, wrong = "correct horse battery", "wrong horse battery"

// enroll registers a key for an account.
func (v *vault) enroll(subject string) (k [32]byte, id wire.RegistrationID) {
	k = bytes32()
	id, _, err := v.device(subject, v).Register(context.Background(), &k, right, RegisterOptions{})
	if err != nil {
		v.t.Fatal(err)
	}
	return k, id
}

func mustRecover(t *testing.T, c *Client, id wire.RegistrationID, k [32]byte) *Recovered {
	t.Helper()
	r, err := c.Recover(t.Context(), right, id)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.K[:], k[:]) || r.Registration != id {
		t.Fatal("another key came back")
	}
	return r
}
