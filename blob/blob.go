// SPDX-License-Identifier: Apache-2.0

// Package blob is the contract between an archive and its destination: a
// folder, a bucket, a cloud drive. A destination holds objects, each a name and
// some bytes, that are written once and never changed.
//
// The contract guarantees that an object is whole or absent, that of two writers
// of one name exactly one succeeds, and that what Put and Delete acknowledged
// survives a crash. An archive rests its atomic commit on these three and on
// nothing else; locks and clocks of the destination are never trusted.
//
// A destination is not trusted with anything more. Whoever holds it may read,
// alter, replace, hide or replay every object, so what is stored must be sealed
// by the caller, and what is read must be checked by the caller. Drivers
// move bytes; they hold no key.
//
// Drivers refuse names that some provider could not hold; see [ValidName].
// Each driver must pass the suite of package blobtest.
package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// A driver's error wraps one of these wherever one fits, so that callers decide
// with errors.Is and people still read the cause. Any other error, except the
// context's own, is a failure of this one request: nothing is known about its
// effect.
var (
	// ErrNotFound means that the destination answered and has no such object.
	ErrNotFound = errors.New("no such object at the destination")

	// ErrExists means that an object of that name is there already. It is
	// complete and durable, and it is not replaced.
	ErrExists = errors.New("an object of this name exists already at the destination")

	// ErrUnreachable means that the destination is gone: unmounted, unplugged,
	// removed, or it does not answer in time. Trying later may help.
	ErrUnreachable = errors.New("the destination cannot be reached")

	// ErrFull means that the destination has no room left, or that a quota of
	// its is used up. What is stored already stays readable and can be deleted.
	ErrFull = errors.New("the destination is full")

	// ErrDenied means that the destination refuses the access: missing
	// permission, or mounted read-only. Trying again does not help.
	ErrDenied = errors.New("the destination denies access")

	// ErrName means that a name cannot name an object; see [ValidName].
	ErrName = errors.New("not a valid object name")
)

// Info describes one stored object.
type Info struct {
	Name      string
	SizeBytes int64
	// ModTime is when the destination says it stored the object. Its clock may
	// be wrong or lie, so nothing that must be safe may depend on it.
	ModTime time.Time
}

// Store is one destination. All methods may be called by many goroutines, and
// many processes and machines may use one destination at once.
//
// Consistency: when Put or Delete has returned nil, every later ReadAt and List,
// from any process, sees the effect. A driver of a provider that is only
// eventually consistent must hide it or refuse to open.
//
// Durability: what Put and Delete acknowledged survives a loss of power at the
// destination. An object can be seen before that, and its writer can be killed
// between. So ErrExists says that the object is durable by now; and a Put that
// returns nil says the same of everything that this Store has listed before,
// save objects of writers who were at work then. A commit may rely on what it found.
//
// Retry: ReadAt and List change nothing and may be repeated. When Put or Delete
// fails with anything but ErrExists, ErrNotFound or ErrName, its effect is
// unknown: it may have happened, or may still happen. Repeating the call is safe
// and settles it; a repeated Put that meets ErrExists must then compare, and a
// repeated Delete that meets ErrNotFound is done. Drivers themselves repeat
// what fails for a moment; callers need not.
//
// Context: when ctx ends, a method returns as soon as its driver can let go,
// with an error that wraps the context's error. A cancelled Put leaves the whole
// object or none.
type Store interface {
	// Put stores data under name if there is no object of that name. When it
	// returns nil the object is complete and durable.
	//
	// There is never a partial object under name, whatever happens: readers see
	// all bytes or ErrNotFound. When several writers put one name at once,
	// exactly one of them gets nil, and the object is that one's.
	//
	// Put does not keep data after it has returned, and does not change it.
	//
	// A name must not be another object's name plus "/" and more, nor the other
	// way round: a folder cannot hold both "a" and "a/b". A driver that cannot
	// answers ErrName.
	//
	// Errors: ErrExists, ErrName, ErrFull, ErrDenied, ErrUnreachable.
	Put(ctx context.Context, name string, data []byte) error

	// ReadAt fills p with the object's bytes from offset off (at least 0) and
	// returns how many it read. Like io.ReaderAt it returns fewer than len(p)
	// only with an error, which is io.EOF, unwrapped, when the object ends
	// before p is full; off may lie beyond the end. A full p comes with a nil
	// error, even when it ends where the object ends; so an empty p asks whether
	// the object is there. No more than the range asked for is fetched, as
	// far as the provider allows.
	//
	// Errors: io.EOF, ErrNotFound, ErrName, ErrDenied, ErrUnreachable.
	ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error)

	// List yields all objects whose names begin with prefix, in no order. The
	// prefix is a string, not a folder: "packs/a" finds "packs/ab" and
	// "packs/a/c", and "" finds everything. A prefix that begins no valid name
	// finds nothing. Objects put or deleted while the listing runs may or may not
	// be in it; all others are, exactly once. The loop's body may use the Store.
	// It uses little memory however many objects there are. What lies at the
	// destination under names that are not valid is not ours and is passed over.
	//
	// At the first error it yields that with a zero Info, and stops: the
	// listing is then incomplete. Errors: ErrDenied, ErrUnreachable.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes the object. When it returns nil the removal is durable.
	//
	// Errors: ErrNotFound, ErrName, ErrDenied, ErrUnreachable.
	Delete(ctx context.Context, name string) error

	// String names the destination for people, such as the folder's path. It
	// carries no secret.
	String() string
}

// Limits of a name; see [ValidName].
const (
	MaxNameElements     = 4
	MaxNameElementBytes = 128
)

// ValidName returns an error that wraps ErrName unless name can name an object
// at every provider: one to MaxNameElements elements joined by single slashes,
// each 1 to MaxNameElementBytes bytes of a-z, 0-9, '.', '_' and '-', none of them
// beginning or ending with '.'.
//
// Lower-case only, because some providers fold case. No leading dot, because
// "." and ".." would leave the destination and others are hidden there. No
// trailing dot, because Windows drops it and two names would be one.
func ValidName(name string) error {
	elements := 0
	for element := range strings.SplitSeq(name, "/") {
		elements++
		if elements > MaxNameElements {
			return fmt.Errorf("%w: %.64q has more than %d elements", ErrName, name, MaxNameElements)
		}
		if !validElement(element) {
			return fmt.Errorf("%w: %.64q: each element must be 1 to %d characters of a-z, 0-9, '.', '_', '-', with no '.' at either end",
				ErrName, name, MaxNameElementBytes)
		}
	}
	return nil
}

func validElement(element string) bool {
	if len(element) == 0 || len(element) > MaxNameElementBytes ||
		element[0] == '.' || element[len(element)-1] == '.' {
		return false
	}
	for i := range len(element) {
		switch c := element[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
