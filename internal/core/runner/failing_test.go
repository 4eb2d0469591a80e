// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
)

// lateSealer answers when it is let, and remembers what it was to seal.
type lateSealer struct {
	seal.Sealer
	asked   chan struct{}
	let     chan error
	secrets [][]byte
}

func (s *lateSealer) Seal(ctx context.Context, id seal.KeyID, secret, aad []byte) ([]byte, error) {
	s.secrets = append(s.secrets, bytes.Clone(secret))
	s.asked <- struct{}{}
	if err := <-s.let; err != nil {
		return nil, err
	}
	return s.Sealer.Seal(ctx, id, secret, aad)
}

// said is a log that a test reads meanwhile.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *said) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), what)
}

// TestLateSealer: a call that does not come back is reported once, and so is one that fails; both are over when it works.
func TestLateSealer(t *testing.T) {
	h := newHost(t)
	sealer := &lateSealer{Sealer: h.config.Sealer, asked: make(chan struct{}), let: make(chan error)}
	log := new(said)
	l := newLoop(nil, Config{Workers: 1})
	config := Config{Sealer: sealer, Logger: slog.New(slog.NewTextHandler(log, nil)), Late: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- l.keep(ctx, config) }()
	l.asks <- core.Rotate{Number: 2, AAD: core.EpochAAD(2)}
	<-sealer.asked
	for l.sealer.now().Error != errLate.Error() {
		time.Sleep(time.Millisecond)
	}
	const broken = "test: broken"
	sealer.let <- errors.New(broken)
	<-sealer.asked // a second later
	if s := l.sealer.now(); s.FailingMs == 0 || s.Error != broken && s.Error != errLate.Error() {
		t.Errorf("%+v", s)
	}
	sealer.let <- nil
	epoch := <-l.epochs
	for l.sealer.now() != (stream.Sealer{}) {
		time.Sleep(time.Millisecond)
	}
	if len(sealer.secrets) != 2 || !bytes.Equal(sealer.secrets[1], epoch.Key[:]) || bytes.Equal(sealer.secrets[0], epoch.Key[:]) {
		t.Error("a key whose sealing failed was used")
	}
	cancel()
	if err := <-kept; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if log.count("level=ERROR") != 1 || log.count("the sealer works again") != 1 {
		t.Errorf("it says %s", log.text.String())
	}
}
