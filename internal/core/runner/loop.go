// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/wire"
)

const (
	tickEvery  = 100 * time.Millisecond
	statsEvery = 10     // ticks, without news
	maxBatch   = 256    // inputs of one Step
	maxUnsent  = 16_384 // frames; with more the loop takes nothing from the host until it reads again, and nothing is sent to peers
)

// loop owns the core. Its queues grow only by what the core gives, and that is bounded by what it takes.
type loop struct {
	core *core.Core
	last time.Time // of the last tick

	frames  chan stream.Frame
	jobs    chan core.Run
	results chan core.Done
	asks    chan core.Effect // Rotate and Retire, for the keeper
	epochs  chan *core.NewEpoch
	retired chan core.Retired
	send    chan []stream.Frame

	inputs   []core.Input // of the next Step
	waiting  []core.Run   // for a worker
	unsent   []stream.Frame
	unasked  []core.Effect
	ticks    int
	news     uint64 // of the core, that the host was told
	greeted  bool
	stopping bool // the host asked for the end
	ended    bool // Bye is said: nothing may follow it

	log *slog.Logger

	sealer failing // the keeper's

	bye bool // the writer's, until it has ended: the host has heard Bye
}

func newLoop(c *core.Core, config Config) *loop {
	return &loop{
		core: c, last: time.Now(), log: config.Logger,
		frames: make(chan stream.Frame, maxBatch), jobs: make(chan core.Run, config.Workers), results: make(chan core.Done, maxBatch),
		asks: make(chan core.Effect), epochs: make(chan *core.NewEpoch), retired: make(chan core.Retired), send: make(chan []stream.Frame),
	}
}

// run takes events and gives them to the core, until the end.
func (l *loop) run(ctx context.Context, effects []core.Effect) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	l.inputs = append(l.inputs, l.tick(l.last))
	for {
		for _, e := range effects {
			l.do(e)
		}
		l.greet()
		err := l.wait(ctx, ticker.C)
		if err == nil {
			effects, err = l.step()
		}
		if err != nil {
			return l.fatal(ctx, err)
		}
	}
}

// wait collects inputs: at least one event, and what else is there already.
func (l *loop) wait(ctx context.Context, ticks <-chan time.Time) error {
	// A nil channel is never ready: the case for which there is nothing to send does not happen.
	var (
		frames = l.frames
		jobs   chan core.Run
		job    core.Run
		asks   chan core.Effect
		ask    core.Effect
		send   chan []stream.Frame
	)
	if len(l.unsent) > maxUnsent {
		frames = nil
	}
	if len(l.waiting) > 0 {
		jobs, job = l.jobs, l.waiting[0]
	}
	if len(l.unasked) > 0 {
		asks, ask = l.asks, l.unasked[0]
	}
	if len(l.unsent) > 0 {
		send = l.send
	}
	select {
	case f, open := <-frames:
		if err := l.frame(f, open); err != nil {
			return err
		}
		return l.more(frames)
	case d := <-l.results:
		l.inputs = append(l.inputs, d)
		return l.more(frames)
	case e := <-l.epochs:
		l.inputs = append(l.inputs, *e)
		clear(e.Key[:])
	case r := <-l.retired:
		l.inputs = append(l.inputs, r)
	case at := <-ticks:
		l.inputs = append(l.inputs, l.tick(at))
		if l.ticks++; !l.stopping && (l.ticks%statsEvery == 0 || l.core.News() != l.news) {
			l.news = l.core.News()
			l.unsent = append(l.unsent, statsFrame(l.core.Stats(), l.sealer.now()))
		}
	case jobs <- job:
		l.waiting = l.waiting[1:]
	case asks <- ask:
		l.unasked = l.unasked[1:]
	case send <- l.unsent:
		l.unsent = nil
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// more takes what waits already, so that one write to the disk serves many requests.
func (l *loop) more(frames <-chan stream.Frame) error {
	for len(l.inputs) < maxBatch {
		select {
		case f, open := <-frames:
			if err := l.frame(f, open); err != nil {
				return err
			}
			if !open {
				return nil
			}
		case d := <-l.results:
			l.inputs = append(l.inputs, d)
		default:
			return nil
		}
	}
	return nil
}

// frame turns a frame into an input.
func (l *loop) frame(f stream.Frame, open bool) error {
	switch f := f.(type) {
	case stream.Request:
		l.inputs = append(l.inputs, core.Request{ID: f.ID, Envelope: f.Envelope})
	case stream.Durable:
		l.inputs = append(l.inputs, core.Durable{Seq: f.Seq})
	case stream.Peer:
		l.inputs = append(l.inputs, core.Peer{Slot: core.Slot(f.Slot), Data: f.Data})
	case stream.Admin:
		l.inputs = append(l.inputs, core.Admin{ID: f.ID, Command: core.AdminCommand(f.Command), Slot: core.Slot(f.Slot),
			Partition: wire.Partition(f.Partition), All: f.All})
	case stream.Stop:
		l.stopping = true
		l.inputs = append(l.inputs, core.Stop{})
	default:
		if open {
			return fmt.Errorf("%w: %T", errProtocol, f)
		}
		l.frames = nil // the reader says why it ended
	}
	return nil
}

// step gives the core what was collected. A panic is a broken invariant, too.
func (l *loop) step() (effects []core.Effect, err error) {
	if len(l.inputs) == 0 {
		return nil, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = broken(r)
		}
	}()
	effects, err = l.core.Step(l.inputs...)
	clear(l.inputs)
	l.inputs = l.inputs[:0]
	return effects, err
}

// broken tells what a panic was about. Runtime errors carry indexes and types, never the values of
// variables; of everything else only the type is told.
func broken(r any) error {
	if err, ok := r.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic: a %T", r)
}

// do passes an effect on.
func (l *loop) do(e core.Effect) {
	if l.ended {
		return
	}
	switch e := e.(type) {
	case core.Persist:
		l.unsent = append(l.unsent, persistFrame(e))
	case core.Answer:
		l.unsent = append(l.unsent, stream.Answer{ID: e.ID, Envelope: e.Envelope})
	case core.Run:
		l.waiting = append(l.waiting, e)
	case core.Send:
		if len(l.unsent) <= maxUnsent { // else as if the network had lost it
			l.unsent = append(l.unsent, stream.Send{Slot: uint16(e.Slot), Data: e.Data})
		}
	case core.Peers:
		l.unsent = append(l.unsent, peersFrame(e))
	case core.Leads:
		l.unsent = append(l.unsent, stream.Leads{Partition: uint16(e.Partition), Slot: uint16(e.Slot)})
	case core.Told:
		l.unsent = append(l.unsent, stream.Told{ID: e.ID, Ticket: e.Ticket, Refusal: e.Refusal})
	case core.Note:
		l.log.Warn(e.Text)
	case core.Rotate, core.Retire:
		l.unasked = append(l.unasked, e)
	}
}

// greet says Hello once the core serves, and Bye once it has nothing left to do.
func (l *loop) greet() {
	if !l.greeted && l.core.Serving() {
		l.greeted = true
		l.unsent = append(l.unsent, stream.Hello{Version: stream.Version, Descriptor: l.core.Descriptor().Append(nil)})
	}
	if l.stopping && !l.ended && l.core.Idle() && len(l.inputs) == 0 {
		l.ended = true
		l.unsent = append(l.unsent, stream.Bye{})
	}
}

// fatal tells the host that the core does nothing more, and keeps its memory until the host goes away: an
// entry that stops every core that applies it must not also make all of them forget.
func (l *loop) fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	text := err.Error()
	select {
	case l.send <- append(l.unsent, stream.Fatal{Text: text[:min(len(text), stream.MaxText)]}):
	case <-ctx.Done():
		return err
	}
	for {
		select {
		case _, open := <-l.frames:
			if !open {
				return err
			}
		case <-l.results: // so that no worker waits for ever
		case <-ctx.Done():
			return err
		}
	}
}
