// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// Code says why a request was refused. docs/spec/wire.md tells each one's meaning for a client.
type Code uint16

// The codes. The numbers are part of the protocol.
const (
	CodeMalformed      Code = 1  // not a message of this protocol
	CodeVersion        Code = 2  // another version
	CodeUnknownKey     Code = 3  // sealed for another fleet, or under a key that was rotated away: fetch the descriptor
	CodeWrongPartition Code = 4  // the account belongs to another partition
	CodeToken          Code = 5  // the token is not one of the pinned issuer's for this core
	CodeTokenExpired   Code = 6  // get a new token
	CodeNotPrimary     Code = 7  // only the primary device may do this
	CodeElement        Code = 8  // an element, record or key that OPAQUE forbids
	CodeNoRegistration Code = 9  // the account has no such registration
	CodeDestroyed      Code = 10 // too many wrong guesses destroyed it, for ever
	CodeLocked         Code = 11 // too early for the next guess: RetryAfterMs
	CodeStaleSerial    Code = 12 // that guess serial is used: ask for the status
	CodeReplaced       Code = 13 // it was confirmed, and then another registration took its place, or it was deleted without proof
	CodeTicket         Code = 14 // the ticket is old, used or not this core's: start the registration again
	CodeProof          Code = 15 // the proof does not match
	CodeSession        Code = 16 // the core has forgotten this login: repeat RecoverStart with the same element, free
	CodeTooMany        Code = 17 // the account keeps too many registrations already, or a registration too many archives
	CodeOldFreshness   Code = 18 // a newer generation is known
	CodePending        Code = 19 // the registration is not confirmed
	CodeUnavailable    Code = 20 // no answer now: try again
	CodeOverloaded     Code = 21 // too much to do: try again after a while
	CodeParameters     Code = 22 // Argon2id parameters out of bounds
	codeEnd            Code = 23
)

var codeTexts = [codeEnd]string{
	CodeMalformed:      "the request is malformed",
	CodeVersion:        "the vault speaks another version of the protocol",
	CodeUnknownKey:     "the request is sealed for another fleet or under a replaced key",
	CodeWrongPartition: "the account belongs to another partition",
	CodeToken:          "the token is not valid here",
	CodeTokenExpired:   "the token has expired",
	CodeNotPrimary:     "only the account's primary device may do this",
	CodeElement:        "a group element or key in the request is not valid",
	CodeNoRegistration: "there is no such registration",
	CodeDestroyed:      "the registration was destroyed after too many wrong guesses",
	CodeLocked:         "the next guess is not allowed yet",
	CodeStaleSerial:    "the guess serial is used already",
	CodeReplaced:       "another registration took this one's place, or it was deleted",
	CodeTicket:         "the registration ticket is no longer valid",
	CodeProof:          "the proof does not match",
	CodeSession:        "the vault has forgotten this login",
	CodeTooMany:        "the account keeps too many registrations, or one of them too many archives",
	CodeOldFreshness:   "a newer state of the archive is known",
	CodePending:        "the registration is not confirmed",
	CodeUnavailable:    "the vault cannot answer now",
	CodeOverloaded:     "the vault has too much to do",
	CodeParameters:     "the Argon2id parameters are out of bounds",
}

func (c Code) String() string {
	if c == 0 || c >= codeEnd {
		return fmt.Sprintf("code %d", uint16(c))
	}
	return codeTexts[c]
}

// Error is a refusal. No refusal but one that says so has used a guess.
type Error struct {
	Code         Code
	RetryAfterMs uint64 // with CodeLocked, CodeTooMany, CodeOverloaded: how long to wait
	GuessesLeft  uint8  // with CodeLocked and CodeStaleSerial
	Serial       Serial // with CodeStaleSerial: the account's last used serial
}

func (e *Error) Error() string { return "vault: " + e.Code.String() }

// Is makes errors.Is compare refusals by their code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Refuse returns a refusal that says no more than its code.
func Refuse(c Code) *Error { return &Error{Code: c} }
