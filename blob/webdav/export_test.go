// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"io"
	"time"

	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// Impatient returns a store, without asking whether its folder is there, that gives up at the first failure that may pass.
func Impatient(config Config) (*Store, error) {
	s, err := newStore(config)
	if err == nil {
		s.client.retry = &transport.Retry{Patience: time.Nanosecond, FirstPatience: time.Nanosecond}
	}
	return s, err
}

// Lower lowers the bounds of a listing, and returns what sets them back.
func Lower(entries, folders int, listBytes int64) (back func()) {
	e, f, b := maxFolderEntries, maxFolders, maxListBytes
	maxFolderEntries, maxFolders, maxListBytes = entries, folders, listBytes
	return func() { maxFolderEntries, maxFolders, maxListBytes = e, f, b }
}

// Parse counts the entries of a multistatus.
func Parse(r io.Reader) (n int, err error) {
	err = parseMultistatus(r, func(entry) error { n++; return nil })
	return n, err
}

// ChildName is what a folder's list is made of.
func ChildName(folder, path string) (string, error) { return childName(folder, path) }

// Span is the range of an answer.
func Span(text string) (first, last, size int64, err error) { return contentRange(text) }
