// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// client is one device that asks for an account: the owner's, or a thief's with a valid token. It does one thing at a time; each is a function that
// reads from top to bottom and is suspended at every request (package iter), so that all run in one goroutine.
type client struct {
	w       *World
	account int
	name    string // of the account
	id      wire.AccountID
	thief   bool
	random  *rand.Rand

	todo []func(*client)
	busy bool
	wait func() bool // suspends what runs; false: the world is over

	owned   []owned             // registrations of this client, the newest last
	storing wire.RegistrationID // the one that it stores
	last    *guess
}

// owned is a registration that this client made.
type owned struct {
	id       wire.RegistrationID
	password string
	key      [32]byte
	live     bool // it was told so
}

// guess is one that can be repeated.
type guess struct {
	id     wire.RegistrationID
	serial wire.Serial
	ke1    [wire.KE1Size]byte
	login  *opaque.Login
}

func (c *client) String() string {
	if c.thief {
		return "the thief of " + c.name
	}
	return c.name
}

var errOver = errors.New("sim: the world is over")

func (w *World) newClient(account int, thief bool) *client {
	c := &client{w: w, account: account, name: fmt.Sprint("account-", account), thief: thief}
	who := uint64(2*account + 2)
	if thief {
		who++
	}
	c.random = rand.New(rand.NewPCG(w.schedule.Seed, who<<8))
	c.id = wire.NewAccountID(issuerName, c.name)
	return c
}

// perform does something when what is begun is done.
func (c *client) perform(what func(*client)) {
	c.todo = append(c.todo, what)
	if !c.busy {
		c.next()
	}
}

// next begins what is to be done.
func (c *client) next() {
	if c.busy = len(c.todo) > 0; !c.busy {
		return
	}
	what := c.todo[0]
	c.todo = c.todo[1:]
	resume, stop := iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if p := recover(); p != nil && p != errOver {
				panic(p)
			}
		}()
		c.wait = func() bool { return yield(struct{}{}) }
		what(c)
	})
	c.w.stops = append(c.w.stops, stop)
	c.resume(resume)
}

// resume goes on with what was suspended.
func (c *client) resume(resume func() (struct{}, bool)) {
	c.w.current = resume
	if _, more := resume(); !more {
		c.w.after(0, c.next)
	}
}

// suspend stops here until wake is called by what arrange arranges.
func (c *client) suspend(arrange func(wake func())) {
	resume := c.w.current
	woken := false
	arrange(func() {
		if !woken {
			woken = true
			c.resume(resume)
		}
	})
	if !c.wait() {
		panic(errOver)
	}
}

// sleep lets virtual time pass.
func (c *client) sleep(ms uint64) { c.suspend(func(wake func()) { c.w.after(ms, wake) }) }

// fill draws random bytes.
func (c *client) fill(each ...[]byte) {
	for _, b := range each {
		for i := range b {
			b[i] = byte(c.random.Uint32())
		}
	}
}
