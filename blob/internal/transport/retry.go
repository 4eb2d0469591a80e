// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

// Retry tries again what failed for a moment. The zero value is usable, by many goroutines; one Retry is for one destination.
type Retry struct {
	// Patience bounds the time from a first failure to the last try, once the destination has answered anything; 0 means 5 minutes.
	// A large upload should survive a router that restarts.
	Patience time.Duration

	// FirstPatience is the same before the destination has ever answered; 0 means 15 seconds. Somebody waits, and
	// most likely the address is wrong.
	FirstPatience time.Duration

	// Notify is told of each wait, if set. Its error carries no secret if those of the calls do not.
	Notify func(err error, wait time.Duration)

	reached atomic.Bool
}

const (
	patience      = 5 * time.Minute
	firstPatience = 15 * time.Second
	firstWait     = 500 * time.Millisecond
	longestWait   = 30 * time.Second
)

// temporary marks an error after which the same call may succeed.
type temporary struct {
	error
	after time.Duration
}

func (t temporary) Unwrap() error { return t.error }

// Temporary marks err for Do as one that may pass. after is how long the destination asks to wait, 0 if it does not say.
func Temporary(err error, after time.Duration) error { return temporary{err, after} }

// Do calls until the outcome is not Temporary, or patience ends: then the error wraps blob.ErrUnreachable and the last outcome. When ctx
// ends it returns an error that wraps the context's. A call must leave nothing behind that a second one would trip over.
func (r *Retry) Do(ctx context.Context, call func(context.Context) error) error {
	var began time.Time // of the first failure
	for try := 0; ; try++ {
		err := call(ctx)
		t, ok := errors.AsType[temporary](err)
		if !ok {
			if err == nil || ctx.Err() == nil {
				r.reached.Store(true)
			}
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%v)", context.Cause(ctx), t.error)
		}
		now := time.Now()
		if try == 0 {
			began = now
		}
		wait := max(t.after, backoff(try))
		if now.Add(wait).Sub(began) > r.patience() {
			return gaveUp(t)
		}
		if r.Notify != nil {
			r.Notify(t.error, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("%w (%v)", err, t.error)
		}
	}
}

func gaveUp(t temporary) error {
	if t.after > 0 {
		return fmt.Errorf("%w: %w; it asks to wait for %v", blob.ErrUnreachable, t.error, t.after.Round(time.Second))
	}
	return fmt.Errorf("%w: %w", blob.ErrUnreachable, t.error)
}

func (r *Retry) patience() time.Duration {
	limit, usual := r.Patience, patience
	if !r.reached.Load() {
		limit, usual = r.FirstPatience, firstPatience
	}
	if limit <= 0 {
		return usual
	}
	return limit
}

// backoff is random between a half and the whole of a wait that doubles, so that many clients do not come back at once.
func backoff(try int) time.Duration {
	whole := min(longestWait, firstWait<<min(try, 16))
	return whole/2 + rand.N(whole/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// FromStatus reports whether an HTTP status may pass, and how long the answer's Retry-After (RFC 9110, section 10.2.3) asks to wait.
func FromStatus(resp *http.Response) (passes bool, after time.Duration) {
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return false, 0
}

func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// FromNetwork turns the error of a request that got no whole answer into one for Do: the context's own if that has ended,
// blob.ErrUnreachable for a certificate that is refused, which does not pass, and else Temporary.
func FromNetwork(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	}
	if isCertificate(err) {
		return fmt.Errorf("%w: its certificate is refused: %w", blob.ErrUnreachable, err)
	}
	return Temporary(err, 0)
}

func isCertificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}
