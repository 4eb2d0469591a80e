// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

// ErrUnfit means that a destination answers, and does not do what an archive rests on.
var ErrUnfit = errors.New("this destination cannot hold an archive")

// Probe finds out in a few requests whether one may write, read, list and delete at a destination, and whether it keeps what is there. It
// removes what it put. The whole contract is what package blobtest checks.
func Probe(ctx context.Context, store blob.Store) (err error) {
	name := "coffer-probe-" + strings.ToLower(rand.Text())
	content := []byte("coffer was here, to see whether it may write\n")
	if err := store.Put(ctx, name, content); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	defer func() {
		if deleteErr := store.Delete(context.WithoutCancel(ctx), name); err == nil && deleteErr != nil {
			err = fmt.Errorf("delete %s: %w", name, deleteErr)
		}
	}()
	switch err := store.Put(ctx, name, []byte("other")); {
	case err == nil:
		return fmt.Errorf("%w: it replaces an object that is there", ErrUnfit)
	case !errors.Is(err, blob.ErrExists):
		return fmt.Errorf("write again: %w", err)
	}
	read := make([]byte, len(content))
	if _, err := store.ReadAt(ctx, name, read, 0); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(read, content) {
		return fmt.Errorf("%w: what is read is not what was written", ErrUnfit)
	}
	listed := 0
	for _, err := range store.List(ctx, name) {
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		listed++
	}
	if listed != 1 {
		return fmt.Errorf("%w: it lists %d objects of the name of one", ErrUnfit, listed)
	}
	return nil
}
