// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// failing is whether the sealer fails at present. The keeper says so; the loop tells the host with each Stats.
type failing struct {
	mu    sync.Mutex
	err   error // nil: it does not
	since time.Time
}

// errLate means that a call to the sealer has not come back. It is no end of the call: the sealer alone knows whether it can be given up.
var errLate = errors.New("the sealer has not answered yet")

// failed takes notice of a failure, and alarms at the first. What follows are the same hardware's, until it works again.
func (f *failing) failed(log *slog.Logger, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.since = time.Now()
		log.Error("the sealer failed; it is asked again and again, and meanwhile what is destroyed stays readable to who has disk and sealer", "error", err)
	} else if f.err.Error() != err.Error() {
		log.Warn("the sealer fails otherwise now", "error", err)
	}
	f.err = err
}

func (f *failing) worked(log *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		log.Info("the sealer works again", "after", time.Since(f.since).Round(time.Second))
	}
	f.err = nil
}

// now is what the host is told.
func (f *failing) now() (s stream.Sealer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		text := f.err.Error()
		s.FailingMs, s.Error = uint64(max(time.Since(f.since).Milliseconds(), 1)), text[:min(len(text), stream.MaxText)]
	}
	return s
}
