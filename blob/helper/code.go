// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coffer-backup/coffer/blob"
)

// code says how a request ended.
type code uint8

const (
	codeOK code = iota
	codeEnd
	codeNotFound
	codeExists
	codeUnreachable
	codeFull
	codeDenied
	codeName
	codeCancelled
	codeOther

	lastCode = codeOther
)

// classes has the error that each code stands for.
var classes = map[code]error{
	codeNotFound:    blob.ErrNotFound,
	codeExists:      blob.ErrExists,
	codeUnreachable: blob.ErrUnreachable,
	codeFull:        blob.ErrFull,
	codeDenied:      blob.ErrDenied,
	codeName:        blob.ErrName,
	codeCancelled:   errStopped,
	codeOther:       errFailed,
}

var (
	// errFailed stands for an error without a class.
	errFailed = errors.New("the request failed")

	// errStopped is a request that the helper gave up without having been asked to.
	errStopped = fmt.Errorf("%w: the helper is ending", blob.ErrUnreachable)
)

func (c code) failure() bool { return c > codeEnd && c <= lastCode }

// op is a method of blob.Store.
type op string

const (
	opPut    op = "put"
	opRead   op = "read"
	opList   op = "list"
	opDelete op = "delete"
)

// fits tells whether a request of that kind can end so.
func (c code) fits(o op) bool {
	switch c {
	case codeEnd:
		return o == opRead
	case codeNotFound:
		return o == opRead || o == opDelete
	case codeExists:
		return o == opPut
	case codeName:
		return o != opList
	}
	return c <= lastCode
}

// codeOf returns the code of a store's error, and its text.
func codeOf(o op, err error) (code, string) {
	if err == nil {
		return codeOK, ""
	}
	if o == opRead && err == io.EOF {
		return codeEnd, ""
	}
	found := codeOther
	for c := codeNotFound; c < codeCancelled; c++ {
		if errors.Is(err, classes[c]) && c.fits(o) {
			found = c
			break
		}
	}
	if errors.Is(err, context.Canceled) {
		found = codeCancelled
	}
	return found, printable(err.Error())
}

// errorOf is the reverse, for a code that is a failure.
func errorOf(c code, text string) error {
	if text == "" {
		return classes[c]
	}
	return &remoteError{classes[c], text}
}

// remoteError is an error that came through the pipe. Its text is the helper's; its class decides.
type remoteError struct {
	class error
	text  string
}

func (e *remoteError) Error() string { return "the helper says: " + e.text }

func (e *remoteError) Unwrap() error { return e.class }

// printable makes any text valid.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= maxText {
		return text
	}
	cut := maxText - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
