// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/coffer-backup/coffer/wire"
)

// name stands for an account or an address in memory and in debug logs: a hash under a key that is random per
// process, so that neither a dump nor a log can be compared with a list of phone numbers later.
type name [16]byte

func (n name) String() string { return hex.EncodeToString(n[:4]) }

type names struct{ key [32]byte }

func newNames() (n names) {
	rand.Read(n.key[:]) // never fails
	return n
}

func (n *names) of(what string, data []byte) name {
	h := hmac.New(sha256.New, n.key[:])
	h.Write([]byte(what))
	h.Write(data)
	return name(h.Sum(nil)[:len(name{})])
}

func (n *names) account(id wire.AccountID) name { return n.of("account", id[:]) }

// address names who may be one person: an IPv4 address, or an IPv6 network of the size that one customer gets.
func (n *names) address(remote string) name {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return n.of("address", nil) // all that have none share one allowance
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // an error is for more than 128 bits
		ip = network.Addr()
	}
	return n.of("address", ip.AsSlice())
}

// maxNames bounds a limiter's memory, at some 200 bytes each.
const maxNames = 100_000

// limiter allows each name so many events a minute, and as many at once. It knows the names
// that came last; one that it forgot begins with a full allowance, so whoever has more names than fit here is
// limited by the other limits.
type limiter struct {
	rate  rate.Limit
	burst int // 0: everything is allowed

	mu     sync.Mutex
	byName map[name]*list.Element
	recent list.List // of *allowance, the latest first
}

type allowance struct {
	name   name
	bucket *rate.Limiter
}

func newLimiter(perMinute int) *limiter {
	return &limiter{rate: rate.Limit(float64(perMinute) / 60), burst: max(perMinute, 0), byName: map[name]*list.Element{}}
}

// wait takes one event out of a name's allowance. If it is used up, wait takes nothing and returns how long to wait.
func (l *limiter) wait(n name, now time.Time) time.Duration {
	if l.burst == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.bucket(n).ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

func (l *limiter) bucket(n name) *rate.Limiter {
	if known := l.byName[n]; known != nil {
		l.recent.MoveToFront(known)
		return known.Value.(*allowance).bucket
	}
	if len(l.byName) >= maxNames {
		oldest := l.recent.Remove(l.recent.Back()).(*allowance)
		delete(l.byName, oldest.name)
	}
	a := &allowance{n, rate.NewLimiter(l.rate, l.burst)}
	l.byName[n] = l.recent.PushFront(a)
	return a.bucket
}
