// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/proc"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

var (
	chaosSeed    = flag.Uint64("chaos.seed", 0, "of the chaos test; 0: another one each time")
	chaosRounds  = flag.Int("chaos.rounds", 6, "how often the chaos test hurts nodes")
	chaosRestart = flag.String("chaos.restart", "majority", "restart policy of the chaos test's fleet")
)

const (
	chaosNodes   = 5
	chaosWorkers = 6
	chaosBudget  = 100
)

// TestChaos kills, stops and starts processes of five nodes while devices guess through a gateway. At the end every account's count
// is what its device was told: a guess that was answered is counted once, and one whose answer never came at most once (INV-BUDGET, end to end).
func TestChaos(t *testing.T) {
	seed, rounds := *chaosSeed, *chaosRounds
	if seed == 0 {
		seed = rand.Uint64()
	}
	if testing.Short() {
		rounds = min(rounds, 2)
	}
	t.Logf("seed: -chaos.seed %d -chaos.restart %s", seed, *chaosRestart)
	f := newNodes(t, fmt.Sprintf("restart = %q\npartitions = 2\nbudget = %d", *chaosRestart, chaosBudget))
	f.create()
	for slot := vault.Slot(2); slot <= chaosNodes; slot++ {
		f.join(slot)
	}
	f.openGateway()
	d := f.startDevices(seed)
	c := &chaos{f, rand.New(rand.NewPCG(seed, 0))}
	for range rounds {
		c.round()
		before := d.answers.Load()
		until(t, "devices are answered again", func() bool { return before+chaosWorkers < d.answers.Load() })
	}
	d.stop()
	d.check()
}

// chaos hurts nodes.
type chaos struct {
	*nodes
	rng *rand.Rand
}

// round hurts one node or two, for a while, and waits until they vote again. A majority is left alone.
func (c *chaos) round() {
	c.t.Helper()
	var heal []func()
	for _, n := range c.rng.Perm(chaosNodes)[:1+c.rng.IntN(2)] {
		heal = append(heal, c.hurt(vault.Slot(n+1), c.rng.IntN(5)))
	}
	time.Sleep(time.Duration(c.rng.IntN(3000)) * time.Millisecond) // this long it lasts
	for _, h := range heal {
		h()
	}
	for slot := range c.running {
		c.awaitVote(slot)
	}
}

// hurt does something to a node's process, or to its core's, and returns what undoes it.
func (c *chaos) hurt(slot vault.Slot, how int) (heal func()) {
	c.t.Helper()
	p := c.running[slot]
	core := func(s syscall.Signal) {
		for _, pid := range proc.ChildrenOf(p.Process.Pid) {
			syscall.Kill(pid, s) // it may have ended
		}
	}
	before, _ := c.status(slot)
	another := func(s *operator.Status) bool { return s.Incarnation != before.Incarnation }
	switch how {
	case 0, 1:
		s := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[how]
		c.t.Logf("node %d: %v", slot, s)
		p.signal(c.t, s)
		return func() {
			p.code(c.t)
			c.start(slot)
			c.await(slot, "it has begun", another)
		}
	case 2:
		c.t.Logf("node %d: its host stands still", slot)
		p.signal(c.t, syscall.SIGSTOP)
		return func() { p.signal(c.t, syscall.SIGCONT) }
	case 3:
		c.t.Logf("node %d: its core stands still", slot)
		core(syscall.SIGSTOP)
		return func() { core(syscall.SIGCONT) }
	default:
		c.t.Logf("node %d: its core is killed", slot)
		core(syscall.SIGKILL)
		return func() { c.await(slot, "another core has begun", another) }
	}
}

// devices guess, each at accounts of its own, one after the other.
type devices struct {
	t       *testing.T
	load    *load
	answers atomic.Int64
	stop    func()

	mu     sync.Mutex
	guests []*guesses
}

// guesses are those of one account, as its device knows of them.
type guesses struct {
	account      int
	registration wire.RegistrationID
	told         wire.Serial // answered
	lost         wire.Serial // given up without an answer
}

func (f *nodes) startDevices(seed uint64) *devices {
	f.t.Helper()
	target := must(newTargetOf(f))(f.t)
	d := &devices{t: f.t}
	d.load = must(newLoad(&loadCmd{URL: f.url, Accounts: 100_000, Workers: chaosWorkers, Duration: time.Second}, target))(f.t)
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	for _, w := range d.load.workers {
		rng := rand.New(rand.NewPCG(seed, uint64(w.number)+1))
		all.Go(func() {
			for n := w.number; ctx.Err() == nil && n < d.load.Accounts; n += chaosWorkers {
				d.use(ctx, w, n, rng)
			}
		})
	}
	d.stop = func() { cancel(); all.Wait() }
	f.t.Cleanup(d.stop)
	return d
}

// newTargetOf is newTarget for a gateway whose issuer is in this process.
func newTargetOf(f *nodes) (*target, error) {
	transport, err := recovery.NewHTTP(recovery.HTTPConfig{URL: f.url})
	if err != nil {
		return nil, err
	}
	encoded, err := transport.Descriptor(f.t.Context())
	if err != nil {
		return nil, err
	}
	fleet, err := wire.ParseDescriptor(encoded)
	if err != nil {
		return nil, err
	}
	login := func(_ context.Context, account string) (recovery.TokenSource, error) {
		return issued{f.issuer, account}, nil
	}
	return &target{url: f.url, fleet: fleet, login: login}, nil
}

// use registers an account and guesses at it. An account whose registration was not answered is left alone.
func (d *devices) use(ctx context.Context, w *worker, n int, rng *rand.Rand) {
	if w.take(ctx, n) != nil || w.registerForReal(ctx) != nil {
		return
	}
	g := &guesses{account: n, registration: w.registration}
	d.mu.Lock()
	d.guests = append(d.guests, g)
	d.mu.Unlock()
	for range chaosBudget / 2 {
		if ctx.Err() != nil {
			return
		}
		d.guess(ctx, w, g, rng)
	}
}

// guess makes one guess. Without an answer it is repeated, which is free; but now and then the device gives up, and asks later what became of it.
func (d *devices) guess(ctx context.Context, w *worker, g *guesses, rng *rand.Rand) {
	serial := g.told + g.lost + 1
	for ctx.Err() == nil {
		started, err := ask[*wire.RecoverStarted](ctx, w, &wire.RecoverStart{Registration: g.registration, Serial: serial, KE1: w.device.ke1})
		switch {
		case err == nil:
			g.told++
			d.answers.Add(1)
			if left := chaosBudget - int(serial); int(started.GuessesLeft) != left {
				d.t.Errorf("account %d: after guess %d the device was told of %d guesses left, not %d", g.account, serial, started.GuessesLeft, left)
			}
			return
		case refused(err, wire.CodeStaleSerial):
			d.t.Errorf("account %d: guess %d, the next one: %v", g.account, serial, err)
			return
		case rng.IntN(4) == 0:
			if d.counted(ctx, w, serial) {
				g.lost++
				return
			}
		}
	}
}

func refused(err error, code wire.Code) bool {
	refusal, ok := err.(*wire.Error)
	return ok && refusal.Code == code
}

// counted asks whether a guess was counted. If it was not yet, it is to be repeated: it may be under way.
func (d *devices) counted(ctx context.Context, w *worker, serial wire.Serial) bool {
	for ctx.Err() == nil {
		if status, err := ask[*wire.StatusAnswer](ctx, w, &wire.Status{}); err == nil {
			return status.Serial >= serial
		}
	}
	return false
}

// check compares what the vault has counted with what the devices know. The guess that was under way at the end may be counted or not.
func (d *devices) check() {
	d.t.Helper()
	w := d.load.workers[0]
	told := wire.Serial(0)
	for _, g := range d.guests {
		if err := w.take(d.t.Context(), g.account); err != nil {
			d.t.Fatal(err)
		}
		status := must(ask[*wire.StatusAnswer](d.t.Context(), w, &wire.Status{}))(d.t)
		if len(status.Registrations) != 1 || status.Registrations[0].ID != g.registration || status.Registrations[0].State != wire.StateLive {
			d.t.Errorf("account %d: its registration is lost: %+v", g.account, status.Registrations)
			continue
		}
		known, left := g.told+g.lost, int(status.Registrations[0].GuessesLeft)
		if status.Serial != known && status.Serial != known+1 || left != chaosBudget-int(status.Serial) {
			d.t.Errorf("account %d: %d guesses are counted and %d left; its device was told of %d, and has given up %d", g.account, status.Serial, left, g.told, g.lost)
		}
		told += g.told
	}
	if told == 0 {
		d.t.Error("no guess was answered")
	}
	d.t.Logf("%d guesses at %d accounts were answered", told, len(d.guests))
}
