// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
)

var discard = slog.New(slog.DiscardHandler)

// failingSealer fails to make keys for a while.
type failingSealer struct {
	seal.Sealer
	failures int
}

func (s *failingSealer) NewKey(ctx context.Context) (seal.KeyID, error) {
	if s.failures > 0 {
		s.failures--
		return "", errors.New("test: no key now")
	}
	return s.Sealer.NewKey(ctx)
}

// TestLeftoverKeys: a key that the stored state does not name is destroyed at the start.
func TestLeftoverKeys(t *testing.T) {
	h := newHost(t)
	h.create()
	until[stream.Hello](h)
	h.send(stream.Stop{})
	until[stream.Bye](h)
	_ = h.end()
	if _, err := h.config.Sealer.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.load()
	until[stream.Hello](h)
	if h.keys() != 1 {
		t.Errorf("%d keys after the start", h.keys())
	}
	_ = h.end()
}
