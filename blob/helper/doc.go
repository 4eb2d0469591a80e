// SPDX-License-Identifier: Apache-2.0

// Package helper keeps an archive at a destination that another process reaches:
// a cloud whose library is too large, or too little trusted, to be linked beside
// the key. [Open] starts the process and is a blob.Store; [Serve] is the other end
// and serves any blob.Store. Between them are the pipes of the process's standard input and
// output; docs/spec/helper.md has the protocol to the byte.
//
// The package guarantees that a helper learns nothing but the calls: sealed objects, their
// names, and an environment without a variable of ours; that memory is bounded whatever
// the other end sends; that an answer counts only if it fits a call that waits for it; and that
// a helper that dies, hangs or talks nonsense is killed, gives blob.ErrUnreachable
// to the calls that wait, and is started again by a later call.
//
// It trusts a helper as little as a destination: both may alter, hide and replay objects, refuse, and
// lie about what is durable, and whoever reads an object must check it. It does trust the program that is started not
// to do what any program of the user can: the pipe is no sandbox.
//
// It refuses objects over MaxObjectBytes, frames over a bound, and texts that
// could move a terminal's cursor. It repeats no call: that is the store's business at the other end.
package helper

import "github.com/coffer-backup/coffer/blob"

// Version is the version of the protocol that is spoken here.
const Version = 1

// MaxObjectBytes is the largest object that goes through a helper. An archive has none that is larger.
const MaxObjectBytes = 64 << 20

const (
	// magic begins every stream, so that a program that is no helper is told from one of another version.
	magic = "coffer-helper"

	maxChunk = 256 << 10 // bytes of an object in one frame
	maxFrame = 1 + 8 + maxChunk
	maxName  = blob.MaxNameElements*(blob.MaxNameElementBytes+1) - 1
	maxText  = 1024
	maxPage  = 256 // objects in one page of a list

	// window is how many pages may be under way to a client that has not read them.
	window = 2

	// budget bounds what requests cost together that are not answered yet. Each costs the bytes of its object or
	// range, and requestCost more.
	budget      = 128 << 20
	requestCost = 1 << 20

	// maxLists bounds how many lists may be open. They are outside the budget: the body of a loop over a list may
	// make other requests, which would wait for the list for ever.
	maxLists = 32

	// maxTimeMs is the last millisecond of the year 9999: later times cannot be written in most formats.
	maxTimeMs = 253402300799999
)
