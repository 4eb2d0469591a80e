// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/software"
	"github.com/coffer-backup/coffer/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a runner's host: it stores what it is told in a map.
type host struct {
	t       *testing.T
	config  Config
	disk    map[string][]byte
	conn    *stream.Conn
	outcome chan error
	persist func(stream.Persist) // sees each before it is stored
}

func newHost(t *testing.T) *host {
	sealer, err := software.Create(filepath.Join(t.TempDir(), "seal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sealer.Close() })
	return &host{t: t, config: Config{Sealer: sealer}, disk: map[string][]byte{}}
}

// connect begins a life.
func (h *host) connect(first ...stream.Frame) {
	conn, other := stream.Pipe()
	outcome := make(chan error, 1)
	h.conn, h.outcome = conn, outcome
	config := h.config
	go func() { outcome <- Run(context.Background(), other, config) }()
	h.t.Cleanup(func() { conn.Close() })
	h.send(first...)
}

func policy() []byte {
	p := wire.DefaultPolicy()
	p.Restart = wire.RestartTrustDisk
	p.Issuer, p.CoreAudience, p.GatewayAudience = "https://issuer.example", "core", "gateway"
	p.TokenKeys = []wire.TokenKey{{ID: "k", Algorithm: wire.EdDSA, Public: make([]byte, 32)}}
	p.TokenKeys[0].Public[0] = 1
	return p.Append(nil)
}

func (h *host) create() { h.connect(stream.Create{Policy: policy()}) }

func (h *host) load() {
	var frames []stream.Frame
	for _, k := range slices.Sorted(maps.Keys(h.disk)) {
		frames = append(frames, stream.Load{Key: []byte(k), Value: h.disk[k]})
	}
	h.connect(append(frames, stream.LoadEnd{})...)
}

// send writes frames; that the other end is gone by then is for the reader to find.
func (h *host) send(frames ...stream.Frame) {
	h.t.Helper()
	for _, f := range frames {
		if err := h.conn.Write(f); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			h.t.Fatal(err)
		}
	}
	if err := h.conn.Flush(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		h.t.Fatal(err)
	}
}

// until stores what comes, until a frame of the type that is asked for has come.
func until[F stream.Frame](h *host) F {
	h.t.Helper()
	for {
		f, err := h.conn.Read()
		if err != nil {
			h.t.Fatalf("waiting for %T: %v", *new(F), err)
		}
		if p, ok := f.(stream.Persist); ok {
			h.store(p)
		}
		if wanted, ok := f.(F); ok {
			return wanted
		}
		if last, ok := f.(stream.Fatal); ok {
			h.t.Fatalf("waiting for %T: %s", *new(F), last.Text)
		}
	}
}

func (h *host) store(p stream.Persist) {
	if h.persist != nil {
		h.persist(p)
	}
	for _, r := range p.Deletes {
		maps.DeleteFunc(h.disk, func(k string, _ []byte) bool { return k >= string(r.From) && k < string(r.To) })
	}
	for _, r := range p.Puts {
		h.disk[string(r.Key)] = r.Value
	}
	h.send(stream.Durable{Seq: p.Seq})
}

// end returns what Run returned.
func (h *host) end() error {
	h.conn.Close()
	return <-h.outcome
}

func (h *host) keys() int {
	h.t.Helper()
	keys, err := h.config.Sealer.Keys(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return len(keys)
}

func TestLives(t *testing.T) {
	h := newHost(t)
	h.create()
	first := until[stream.Hello](h)
	h.send(stream.Request{ID: 7, Envelope: []byte("garbage")})
	if a := until[stream.Answer](h); a.ID != 7 {
		t.Errorf("the answer is to %d", a.ID)
	}
	h.send(stream.Stop{}, stream.Request{ID: 8, Envelope: []byte("too late")})
	if a := until[stream.Answer](h); a.ID != 8 {
		t.Errorf("the answer is to %d", a.ID)
	}
	until[stream.Bye](h)
	if err := h.end(); err != nil {
		t.Fatalf("an orderly stop: %v", err)
	}
	h.load()
	if again := until[stream.Hello](h); string(again.Descriptor) != string(first.Descriptor) || again.Version != stream.Version {
		t.Error("another fleet after a restart")
	}
	if until[stream.Stats](h); h.keys() != 1 {
		t.Errorf("%d keys", h.keys())
	}
	if err := h.end(); err == nil {
		t.Error("a host that went away was taken for an orderly stop")
	}
}

// TestRefused: what is wrong at the beginning is told to the host.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		frames []stream.Frame
		why    string
	}{
		"request first": {[]stream.Frame{stream.Request{ID: 1}}, errProtocol.Error()},
		"create twice":  {[]stream.Frame{stream.Load{Key: []byte("0/x")}, stream.Create{}}, core.ErrDamaged.Error()},
		"empty store":   {[]stream.Frame{stream.LoadEnd{}}, core.ErrDamaged.Error()},
		"bad policy":    {[]stream.Frame{stream.Create{Policy: []byte("x")}}, wire.ErrMalformed.Error()},
	} {
		h := newHost(t)
		h.connect(c.frames...)
		if f := fatal(h); !strings.Contains(f.Text, c.why) {
			t.Errorf("%s: %q, want %q", name, f.Text, c.why)
		}
		if h.end() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	h := newHost(t)
	if _, err := h.config.Sealer.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.create()
	if f := fatal(h); f.Text != errInUse.Error() || h.keys() != 1 {
		t.Errorf("a new fleet with another's sealer: %q, %d keys", f.Text, h.keys())
	}
	_ = h.end()
}

// fatal waits for a Fatal.
func fatal(h *host) stream.Fatal {
	h.t.Helper()
	for {
		f, err := h.conn.Read()
		if err != nil {
			h.t.Fatalf("waiting for Fatal: %v", err)
		}
		if last, ok := f.(stream.Fatal); ok {
			return last
		}
		if p, ok := f.(stream.Persist); ok {
			h.store(p)
		}
	}
}

// TestFatal: a core that stopped itself stays in memory until the host goes away.
func TestFatal(t *testing.T) {
	for name, f := range map[string]stream.Frame{
		"durable out of turn": stream.Durable{Seq: 99},
		"create again":        stream.Create{},
		"load again":          stream.Load{Key: []byte("x")},
		"a core's frame":      stream.Bye{},
	} {
		h := newHost(t)
		h.create()
		until[stream.Hello](h)
		h.send(f)
		fatal(h)
		for range 3 * maxBatch { // it reads and does nothing
			h.send(stream.Request{ID: 1, Envelope: []byte("x")})
		}
		select {
		case err := <-h.outcome:
			t.Errorf("%s: the core is gone before its host: %v", name, err)
		default:
		}
		if h.end() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPanic(t *testing.T) {
	l := newLoop(nil, Config{Workers: 1}) // without a core each step panics
	l.inputs = append(l.inputs, core.Stop{})
	if _, err := l.step(); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("a panic of the core: %v", err)
	}
	if err := broken("a secret"); strings.Contains(err.Error(), "secret") {
		t.Errorf("a panic's value is told: %v", err)
	}
	if r := result(badJob{}); r != nil {
		t.Errorf("a job that panics: %v", r)
	}
}

type badJob struct{}

func (badJob) Run() core.Result { panic("a poisoned request") }

// TestFullQueue: while the host does not read, nothing more is taken from it.
func TestFullQueue(t *testing.T) {
	l := newLoop(nil, Config{Workers: 1})
	l.unsent = make([]stream.Frame, maxUnsent+1)
	l.frames <- stream.Request{ID: 1}
	l.results <- core.Done{ID: 1}
	if err := l.wait(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(l.inputs) != 1 || len(l.frames) != 1 {
		t.Errorf("%d inputs, %d frames are left", len(l.inputs), len(l.frames))
	}
}

// TestRotation: a snapshot replaces the sealer's key, and a sealer that fails for a while is asked again.
func TestRotation(t *testing.T) {
	h := newHost(t)
	h.config.RotateMs = 1
	failing := &failingSealer{Sealer: h.config.Sealer, failures: 1}
	h.create()
	until[stream.Hello](h)
	_ = h.end()
	// The core has something to snapshot only when there is an account: see package vault. Here the keeper alone is asked.
	h.config.Sealer = failing
	l := newLoop(nil, Config{Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- l.keep(ctx, Config{Sealer: failing, Logger: discard}) }()
	l.asks <- core.Rotate{Number: 2, AAD: core.EpochAAD(2)}
	epoch := <-l.epochs
	if failing.failures != 0 || epoch.Key == [32]byte{} || h.keys() != 2 {
		t.Errorf("%d failures are left, %d keys", failing.failures, h.keys())
	}
	opened, err := failing.Open(t.Context(), seal.KeyID(epoch.KeyID), epoch.Sealed, core.EpochAAD(2))
	if err != nil || [32]byte(opened) != epoch.Key {
		t.Errorf("the new epoch's key: %v", err)
	}
	l.asks <- core.Retire{KeyID: epoch.KeyID}
	if r := <-l.retired; r.KeyID != epoch.KeyID || h.keys() != 1 {
		t.Errorf("%d keys after the old one was retired", h.keys())
	}
	cancel()
	if err := <-kept; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
