// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

const (
	maxTries  = 6                      // of one request: some eight seconds, in which a fleet elects a new leader
	firstWait = 250 * time.Millisecond // doubled after each try
	maxWait   = 15 * time.Second       // who is told to wait longer is told so at once
)

// ask sends a request until an answer opens, and returns the answer, the core's own refusal as a
// *wire.Error, or what hinders. It sets lost if the core may have acted on a try whose answer never came.
func ask[A wire.Body](ctx context.Context, c *Client, body wire.Body, lost *bool) (answer A, err error) {
	var got wire.Body
	for try := 0; ; try++ {
		got, err = c.try(ctx, body, lost)
		wait, again := waitAfter(err, try)
		if !again {
			break
		}
		if err := c.config.Wait(ctx, wait); err != nil {
			return answer, err
		}
	}
	if err != nil {
		return answer, err
	}
	answer, ok := got.(A)
	if !ok {
		*lost = true // whatever it did
		return answer, fmt.Errorf("%w: it answered another question", ErrProtocol)
	}
	return answer, nil
}

// waitAfter tells whether to try once more, and after how long.
func waitAfter(err error, try int) (time.Duration, bool) {
	wait := firstWait << try
	if busy, ok := errors.AsType[*Busy](err); ok {
		wait = max(wait, busy.RetryAfter)
	}
	return wait, errors.Is(err, ErrUnavailable) && try < maxTries-1 && wait <= maxWait
}

// try sends a request once. Each try is sealed anew, so that nobody on the way can tell a repetition from another request.
func (c *Client) try(ctx context.Context, body wire.Body, lost *bool) (wire.Body, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	envelope, opener, err := c.config.Descriptor.Seal(c.config.Account, &wire.Request{Token: token, Body: body})
	if err != nil {
		return nil, err
	}
	before := *lost
	*lost = true // until the core itself says otherwise
	raw, err := c.config.Transport.Call(ctx, envelope)
	switch {
	case errors.Is(err, ErrLogin): // says the gateway, who may have let the request pass and lie
		return nil, err
	case err != nil:
		return nil, unavailable(ctx, err)
	}
	answer, sealed, err := opener.Open(raw)
	refusal, refused := errors.AsType[*wire.Error](err)
	switch {
	case err != nil && !refused:
		return nil, unavailable(ctx, err)
	case !sealed && refused:
		return nil, c.hint(ctx, refusal)
	case refused && refusal.Code == wire.CodeUnavailable: // what it had proposed may still be committed
		return nil, &Busy{RetryAfter: duration(refusal.RetryAfterMs)}
	}
	*lost = before
	if refused && refusal.Code == wire.CodeOverloaded {
		return nil, &Busy{RetryAfter: duration(refusal.RetryAfterMs)}
	}
	return answer, err
}

func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.config.Tokens.Token(ctx, c.config.Descriptor.Policy.CoreAudience)
	switch {
	case errors.Is(err, ErrLogin):
		return "", err
	case err != nil:
		return "", unavailable(ctx, err)
	case token == "" || len(token) > wire.MaxTokenSize:
		return "", fmt.Errorf("%w (the issuer's token has %d bytes)", ErrLogin, len(token))
	}
	return token, nil
}

// hint judges a refusal that the core did not seal. Anybody on the way can make one: it is never a fact about the registration,
// and what a core says under seal only is not even shown.
func (c *Client) hint(ctx context.Context, refusal *wire.Error) error {
	switch refusal.Code {
	case wire.CodeUnknownKey:
		return c.checkFleet(ctx)
	case wire.CodeOverloaded, wire.CodeUnavailable:
		return &Busy{RetryAfter: duration(refusal.RetryAfterMs)}
	case wire.CodeMalformed, wire.CodeVersion:
		return fmt.Errorf("%w (somebody before it says: %s)", ErrUnavailable, refusal.Code)
	}
	return fmt.Errorf("%w (somebody before it forges its answers)", ErrUnavailable)
}

// checkFleet compares the descriptor that the vault shows now with the pinned one.
func (c *Client) checkFleet(ctx context.Context) error {
	raw, err := c.config.Transport.Descriptor(ctx)
	if err != nil {
		return unavailable(ctx, err)
	}
	shown, err := wire.ParseDescriptor(raw)
	if err != nil {
		return unavailable(ctx, err)
	}
	if !bytes.Equal(raw, c.config.Descriptor.Append(nil)) {
		return fmt.Errorf("%w; its fingerprint is %s", ErrFleetChanged, shown.Fingerprint())
	}
	return fmt.Errorf("%w (somebody before it says: %s)", ErrUnavailable, wire.CodeUnknownKey)
}

// unavailable says that no answer came. The end of the context is the caller's own doing.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// duration bounds a time that was told, so that it fits: at most a year.
func duration(ms uint64) time.Duration {
	const yearMs = 366 * 24 * 3600_000
	return time.Duration(min(ms, yearMs)) * time.Millisecond
}
