// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"context"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
)

// Opener opens destinations by their texts, each kind by its driver. Its methods may be called by many goroutines.
type Opener struct {
	Secrets Secrets // where the credentials are

	// HelperPath is the program that reaches what only rclone knows; empty: coffer-rclone, beside this program or in PATH.
	HelperPath string

	// UploadBytesPerSecond limits what is sent to each destination; 0: no limit.
	UploadBytesPerSecond int64
}

// Open opens the destination that the text names; with create it makes what is missing of it. It fits coffer.Options.OpenDestination.
//
// Errors: coffer.ErrDestination, coffer.ErrKeysLocked, ErrNoCredentials, ErrNoHelper, those of package blob.
func (o *Opener) Open(ctx context.Context, text string, create bool) (blob.Store, error) {
	l, err := Parse(text)
	if err != nil {
		return nil, err
	}
	switch l := l.(type) {
	case Folder:
		return coffer.OpenDestination(ctx, l.Path, create)
	}
	return nil, fmt.Errorf("%w: %s is not supported yet", coffer.ErrDestination, l.Kind())
}

// Canonical returns the one text of the location that a text names. It fits coffer.Options.CanonicalDestination.
func Canonical(text string) (string, error) {
	l, err := Parse(text)
	if err != nil {
		return "", err
	}
	return l.String(), nil
}
