// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/wire"
)

// A host drives a core in one goroutine: it is runner, sealer and disk in one.
type host struct {
	t      testing.TB
	c      *Core
	config Config
	policy wire.Policy
	signer ed25519.PrivateKey

	disk   map[string][]byte
	keys   map[string][32]byte // the sealer's: what each key id opens
	real   seal.Sealer         // in its place, if there is one
	asleep []Effect            // what the sealer was asked for and does not do; nil: it works
	onDisk func(Record)        // sees all that is ever stored
	now    wire.UnixMs
	ids    uint64
	answer map[uint64][]byte

	inputs  []Input  // all that the core was given, if record is set
	effects []Effect // all that it gave
	record  bool

	onPersist func(Persist) fate // what becomes of a write; nil: it succeeds
	onRun     func(Job)
	idle      func() bool // does some of what was delayed; false: it does no more
	onSend    func(Send)  // nil: it is lost
	told      map[uint64]Told
	notes     []string
	slot      Slot
	dead      bool
	queue     []Effect
	working   bool
}

// fate of a write.
type fate int

const (
	stored fate = iota
	lostAndDead
	storedAndDead
	delayed // the host stores it later, see idle
)

const testIssuer = "https://issuer.example"

func newHost(t testing.TB, change func(*host)) *host {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, signer: private, disk: map[string][]byte{}, keys: map[string][32]byte{}, now: 1_800_000_000_000, answer: map[uint64][]byte{}, told: map[uint64]Told{}}
	h.policy = wire.DefaultPolicy()
	h.policy.Restart = wire.RestartTrustDisk
	h.policy.Issuer, h.policy.CoreAudience, h.policy.GatewayAudience = testIssuer, "core", "gateway"
	h.policy.TokenKeys = []wire.TokenKey{{ID: "k1", Algorithm: wire.EdDSA, Public: public}}
	h.config.Tier = "software"
	if change != nil {
		change(h)
	}
	h.config.Seed[0] = 1
	epoch := h.newEpoch()
	c, effects, err := Create(h.config, &h.policy, nil, epoch)
	if err != nil {
		t.Fatal(err)
	}
	h.c = c
	h.work(effects)
	h.settle()
	return h
}

// newEpoch makes an epoch key, "sealed" under a key that the host forgets when it is retired. It is a counter, so that runs repeat.
func (h *host) newEpoch() NewEpoch { return h.epoch(EpochAAD(1)) }

func (h *host) epoch(aad []byte) NewEpoch {
	h.ids++
	if h.real != nil {
		return h.realEpoch(aad)
	}
	id := fmt.Sprint("key-", h.ids)
	var key [32]byte
	key[0], key[1] = byte(h.ids), byte(h.ids>>8)
	h.keys[id] = key
	return NewEpoch{Key: key, KeyID: id, Sealed: []byte("sealed")}
}

func (h *host) realEpoch(aad []byte) NewEpoch {
	e := NewEpoch{}
	rand.Read(e.Key[:])
	id, err := h.real.NewKey(h.t.Context())
	if err == nil {
		e.KeyID = string(id)
		e.Sealed, err = h.real.Seal(h.t.Context(), id, e.Key[:], aad)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// realUnseal opens with a sealer.
func realUnseal(t testing.TB, s seal.Sealer) Unseal {
	return func(keyID string, sealed, aad []byte) ([]byte, error) {
		key, err := s.Open(t.Context(), seal.KeyID(keyID), sealed, aad)
		if errors.Is(err, seal.ErrNoKey) {
			err = errors.Join(err, ErrNoKey)
		}
		return key, err
	}
}

// keep destroys all keys but those that are needed.
func (h *host) keep(needed []string) {
	maps.DeleteFunc(h.keys, func(id string, _ [32]byte) bool { return !slices.Contains(needed, id) })
	if h.real == nil {
		return
	}
	ids, err := h.real.Keys(h.t.Context())
	for _, id := range ids {
		if !slices.Contains(needed, string(id)) {
			err = errors.Join(err, h.real.Destroy(h.t.Context(), id))
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// sleep has the sealer do nothing until wake.
func (h *host) sleep() { h.asleep = []Effect{} }

func (h *host) wake() {
	asked := h.asleep
	h.asleep = nil
	h.work(asked)
}

func (h *host) unseal(keyID string, sealed, aad []byte) ([]byte, error) {
	if h.real != nil {
		return realUnseal(h.t, h.real)(keyID, sealed, aad)
	}
	key, ok := h.keys[keyID]
	if !ok {
		return nil, errNoKey
	}
	return key[:], nil
}

var errNoKey = fmt.Errorf("test: %w", ErrNoKey)

// step gives the core inputs and does what it asks for, until it asks for nothing more or is dead.
func (h *host) step(inputs ...Input) {
	if h.dead {
		return
	}
	if h.record {
		h.inputs = append(h.inputs, inputs...)
	}
	effects, err := h.c.Step(inputs...)
	if err != nil {
		h.t.Fatalf("step: %v", err)
	}
	h.work(effects)
}

// work does effects in their order; those that follow from them come after them.
func (h *host) work(effects []Effect) {
	h.queue = append(h.queue, effects...)
	if h.working {
		return
	}
	h.working = true
	defer func() { h.working = false }()
	for len(h.queue) > 0 {
		e := h.queue[0]
		h.queue = h.queue[1:]
		if h.dead {
			h.queue = nil
			return
		}
		if h.record {
			h.effects = append(h.effects, e)
		}
		switch e := e.(type) {
		case Persist:
			f := stored
			if h.onPersist != nil {
				f = h.onPersist(e)
			}
			if f == stored || f == storedAndDead {
				h.store(e)
			}
			h.dead = f == lostAndDead || f == storedAndDead
			if f == stored {
				h.step(Durable{e.Seq})
			}
		case Run:
			if h.onRun != nil {
				h.onRun(e.Job)
			}
			h.step(Done{e.ID, e.Job.Run()})
		case Answer:
			h.answer[e.ID] = e.Envelope
		case Send:
			if h.onSend != nil {
				h.onSend(e)
			}
		case Told:
			h.told[e.ID] = e
		case Note:
			h.notes = append(h.notes, e.Text)
		case Rotate:
			if h.asleep != nil {
				h.asleep = append(h.asleep, e)
				continue
			}
			h.step(h.epoch(e.AAD))
		case Retire:
			if h.asleep != nil {
				h.asleep = append(h.asleep, e)
				continue
			}
			h.retire(e)
		}
	}
}

func (h *host) retire(e Retire) {
	delete(h.keys, e.KeyID)
	if h.real != nil {
		if err := h.real.Destroy(h.t.Context(), seal.KeyID(e.KeyID)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.step(Retired(e))
}

func (h *host) store(p Persist) {
	for _, r := range p.Deletes {
		if bytes.Equal(r.To, after(r.From)) { // one key, as the old version of a bucket is
			delete(h.disk, string(r.From))
			continue
		}
		maps.DeleteFunc(h.disk, func(k string, _ []byte) bool {
			return k >= string(r.From) && k < string(r.To)
		})
	}
	for _, r := range p.Puts {
		h.disk[string(r.Key)] = bytes.Clone(r.Value)
		if h.onDisk != nil {
			h.onDisk(Record{bytes.Clone(r.Key), bytes.Clone(r.Value)})
		}
	}
}

// pass lets time pass, by the runner's clock and the time of day alike.
func (h *host) pass(ms uint64) {
	for ; ms > 0 && !h.dead; ms -= min(ms, 10_000) {
		h.now += wire.UnixMs(min(ms, 10_000))
		h.step(Tick{h.now, min(ms, 10_000)})
	}
}

// settle ticks until the core is ready.
func (h *host) settle() {
	for range 3 {
		h.step(Tick{h.now, 0})
		h.later(func() bool { return h.c.Stats().Serving })
	}
	if !h.dead && !h.c.Stats().Serving {
		h.t.Fatal("the core does not become ready")
	}
}

// later has done what was delayed until that is enough.
func (h *host) later(enough func() bool) {
	for h.idle != nil && !enough() && h.idle() {
	}
}

// boot starts a core from what is on the disk, and waits until it serves.
func (h *host) boot() error {
	if err := h.start(); err != nil {
		return err
	}
	h.settle()
	return nil
}

// start starts a core from what is on the disk.
func (h *host) start() error {
	h.config.Seed[1]++
	h.dead = false
	if h.idle == nil {
		h.onPersist = nil
	}
	c, effects, err := h.load()
	if err != nil {
		return err
	}
	h.c = c
	h.keep(c.KeyIDs())
	h.work(effects)
	return nil
}

func (h *host) load() (*Core, []Effect, error) {
	l := NewLoader(h.config, h.unseal)
	for _, k := range slices.Sorted(maps.Keys(h.disk)) {
		if err := l.Add(Record{[]byte(k), bytes.Clone(h.disk[k])}); err != nil {
			return nil, nil, err
		}
	}
	return l.Finish(nil)
}

func (h *host) mustBoot() {
	h.t.Helper()
	if err := h.boot(); err != nil {
		h.t.Fatalf("boot: %v", err)
	}
}

// image is a copy of the disk.
func (h *host) image() map[string][]byte { return maps.Clone(h.disk) }

// user is a client that speaks raw messages.
type user struct {
	h       *host
	name    string
	role    string
	account wire.AccountID
}

func (h *host) user(name string) *user {
	return &user{h, name, "primary", wire.NewAccountID(testIssuer, name)}
}

func (u *user) token() string {
	return u.h.sign(map[string]any{"iss": testIssuer, "sub": u.name, "aud": "core", "coffer_role": u.role,
		"iat": u.h.now / 1000, "exp": u.h.now/1000 + 600})
}

func (h *host) sign(claims map[string]any) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			h.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]string{"alg": "EdDSA", "kid": "k1", "typ": "JWT"}) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(h.signer, []byte(signed)))
}

var errNoAnswer = errors.New("test: no answer")

// ask sends a request and returns the answer; a refusal comes as a *wire.Error.
func (u *user) ask(body wire.Body) (wire.Body, error) {
	return u.askWith(u.token(), body)
}

func (u *user) askWith(token string, body wire.Body) (wire.Body, error) {
	u.h.t.Helper()
	envelope, opener, err := u.h.c.Descriptor().Seal(u.account, &wire.Request{Token: token, Body: body})
	if err != nil {
		u.h.t.Fatal(err)
	}
	raw, err := u.h.call(envelope)
	if err != nil {
		return nil, err
	}
	answer, _, err := opener.Open(raw)
	return answer, err
}

// call passes a sealed request in and its answer out.
func (h *host) call(envelope []byte) ([]byte, error) {
	h.ids++
	id := h.ids
	h.step(Request{id, envelope})
	h.later(func() bool { return h.answer[id] != nil })
	raw, ok := h.answer[id]
	if !ok {
		return nil, errNoAnswer
	}
	delete(h.answer, id)
	return raw, nil
}

// want asks for an answer of a type and fails without it.
func want[T wire.Body](u *user, body wire.Body) T {
	u.h.t.Helper()
	answer, err := u.ask(body)
	if err != nil {
		u.h.t.Fatalf("%T: %v", body, err)
	}
	return answer.(T)
}

// wantRefusal asks for a refusal with a code.
func (u *user) wantRefusal(body wire.Body, code wire.Code) *wire.Error {
	u.h.t.Helper()
	_, err := u.ask(body)
	var refusal *wire.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		u.h.t.Fatalf("%T: got %v, want the refusal %q", body, err, code)
	}
	return refusal
}
