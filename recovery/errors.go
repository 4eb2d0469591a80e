// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// The refusals. Each says what happened and what to do; an error of Recover says also whether a guess was used.
var (
	ErrDestroyed = errors.New("too many wrong passwords: the vault destroyed this key, for ever. " +
		"Only the 64-digit key or a device that still has it opens the backup")
	ErrExhausted = errors.New("no guess is left: only the device that made the last one can still prove it, for some minutes; " +
		"then the vault destroys the key")
	ErrNoRegistration = errors.New("the vault keeps no such key for this account. " +
		"Use the 64-digit key, or check which account is logged in")
	ErrReplaced = errors.New("the password was set, and then another device of this account registered another key, or deleted this one without it: " +
		"this one stays recoverable with its password for its grace period")

	ErrNotPrimary = errors.New("only the account's primary device may do this, and this one is a companion")
	ErrLogin      = errors.New("the login is not valid or has expired: log in again")
	ErrProof      = errors.New("the vault's registration belongs to another key, and nothing was changed: " +
		"restore with the password first, or delete the registration without its key and wait for the grace period")
	ErrRace = errors.New("another device of this account is busy with the vault at the same time: " +
		"wait until it is done, and look at the status")
	ErrOldFreshness = errors.New("the vault knows a newer state of this archive, or another one of the same generation: " +
		"another device wrote to it, or it was rolled back")
	ErrUnavailable  = errors.New("the vault does not answer now, try again later")
	ErrFleetChanged = errors.New("the vault is not the one that this device has pinned, or its keys were replaced: " +
		"compare its fingerprint with the operator's before you trust it")
	ErrProtocol = errors.New("this program and the vault do not understand each other: update this program, or ask the operator")
	ErrPassword = errors.New("this text cannot be a password, and nothing was sent")
)

// WrongPassword says that a guess was counted and wrong. The core has said so.
type WrongPassword struct {
	GuessesLeft uint8
	RetryAfter  time.Duration // until the next guess is allowed
	Last        bool          // it was the last guess: the key is gone
}

func (e *WrongPassword) Error() string {
	if e.Last {
		return "wrong password. It was the last guess: the vault destroys this key, for ever. " +
			"Only the 64-digit key or a device that still has it opens the backup"
	}
	text := fmt.Sprintf("wrong password. One guess was used, %d left", e.GuessesLeft)
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; the next is allowed in %s", round(e.RetryAfter))
	}
	return text + ". When none is left, the vault destroys the key for ever"
}

// Locked says that it is too early for the next guess.
type Locked struct {
	RetryAfter  time.Duration
	GuessesLeft uint8
}

func (e *Locked) Error() string {
	return fmt.Sprintf("too early: the next guess is allowed in %s. No guess was used, %d left", round(e.RetryAfter), e.GuessesLeft)
}

// TooMany says that the vault keeps as many registrations for this account as it may, or archives of one.
type TooMany struct {
	RetryAfter time.Duration // until there is room for a registration; 0: archives do not make room
}

func (e *TooMany) Error() string {
	if e.RetryAfter == 0 {
		return fmt.Sprintf("the vault remembers the newest state of %d archives, and this is one more: "+
			"that it is not rolled back is checked on this device alone", wire.MaxFreshness)
	}
	return fmt.Sprintf("the vault keeps as many registrations as it may for this account: there is room in %s. Nothing was changed", round(e.RetryAfter))
}

// Busy is an ErrUnavailable that tells how long to wait.
type Busy struct {
	RetryAfter time.Duration // 0: soon
}

func (e *Busy) Error() string {
	if e.RetryAfter == 0 {
		return ErrUnavailable.Error()
	}
	return fmt.Sprintf("the vault has too much to do. Try again in %s", round(e.RetryAfter))
}

func (e *Busy) Unwrap() error { return ErrUnavailable }

// MaybeCounted says that a recovery failed after its guess may have been counted: the vault's answer got lost.
type MaybeCounted struct {
	Err error
}

func (e *MaybeCounted) Error() string {
	return e.Err.Error() + ". One guess may have been used; the status tells how many are left"
}

func (e *MaybeCounted) Unwrap() error { return e.Err }

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return time.Second
	}
	return d.Round(time.Second)
}

var sentinels = map[wire.Code]error{
	wire.CodeDestroyed:      ErrDestroyed,
	wire.CodeNoRegistration: ErrNoRegistration,
	wire.CodeNotPrimary:     ErrNotPrimary,
	wire.CodeToken:          ErrLogin,
	wire.CodeTokenExpired:   ErrLogin,
	wire.CodeProof:          ErrProof,
	wire.CodeReplaced:       ErrReplaced,
	wire.CodeStaleSerial:    ErrRace,
	wire.CodeOldFreshness:   ErrOldFreshness,
}

// explain turns the core's refusal into what it means for the user; other errors it returns as they are.
func explain(err error) error {
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return err
	}
	switch refusal.Code {
	case wire.CodeLocked:
		return &Locked{duration(refusal.RetryAfterMs), refusal.GuessesLeft}
	case wire.CodeTooMany:
		return &TooMany{duration(refusal.RetryAfterMs)}
	case wire.CodePending:
		return fmt.Errorf("%w (this one was never confirmed)", ErrNoRegistration)
	case wire.CodeTicket, wire.CodeSession:
		return fmt.Errorf("%w (%s)", ErrUnavailable, refusal.Code)
	}
	if sentinel := sentinels[refusal.Code]; sentinel != nil {
		return sentinel
	}
	return fmt.Errorf("%w: %s", ErrProtocol, refusal.Code)
}

// saysCount reports whether an error of a recovery says itself what became of the guess. The core looks for a repeated
// guess before it says that one is too early, so that Locked is certain, too.
func saysCount(err error) bool {
	_, wrong := errors.AsType[*WrongPassword](err)
	_, locked := errors.AsType[*Locked](err)
	return wrong || locked
}

// isGone reports whether there is nothing to guess at any more.
func isGone(err error) bool {
	return errors.Is(err, ErrDestroyed) || errors.Is(err, ErrExhausted) || errors.Is(err, ErrNoRegistration)
}

func noGuess(err error) error { return fmt.Errorf("%w. No guess was used", err) }

func refusedWith(err error, code wire.Code) bool { return errors.Is(err, wire.Refuse(code)) }
