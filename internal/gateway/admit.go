// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// The gates run when the headers are there, before anything of the body is read, cheapest first.

// admitAddress limits an address, so that nobody has us verify signatures without end.
func (g *Gateway) admitAddress(ctx context.Context, _ connect.Spec, peer connect.Peer, _ http.Header) (context.Context, error) {
	n := g.names.address(peer.Addr)
	note(ctx).address = n
	if delay := g.addresses.wait(n, g.now()); delay > 0 {
		return nil, g.refuse(ctx, limited("address", delay))
	}
	return ctx, nil
}

// admitAccount checks the token and limits its account.
func (g *Gateway) admitAccount(ctx context.Context, _ connect.Spec, _ connect.Peer, header http.Header) (context.Context, error) {
	now := g.now()
	claims, err := g.authenticate(header, now)
	if err != nil {
		return nil, g.refuse(ctx, err)
	}
	n := g.names.account(wire.NewAccountID(claims.Issuer, claims.Subject))
	if delay := g.accounts.wait(n, now); delay > 0 {
		return nil, g.refuse(ctx, limited("account", delay))
	}
	return ctx, nil
}

func (g *Gateway) authenticate(header http.Header, now time.Time) (token.Claims, error) {
	bearer, ok := bearerToken(header)
	if !ok {
		return token.Claims{}, unauthenticated("a token is needed: Authorization: Bearer")
	}
	claims, err := g.verify(bearer, now.UnixMilli())
	switch {
	case errors.Is(err, ErrUnavailable):
		return token.Claims{}, err
	case errors.Is(err, token.ErrExpired):
		return token.Claims{}, unauthenticated(token.ErrExpired.Error())
	case err != nil:
		return token.Claims{}, unauthenticated(token.ErrInvalid.Error())
	}
	return claims, nil
}

// bearerToken reads the one Authorization header (RFC 6750 section 2.1; RFC 9110 section 11.1 has the scheme in any case).
func bearerToken(header http.Header) (string, bool) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, bearer, _ := strings.Cut(values[0], " ")
	return bearer, strings.EqualFold(scheme, "Bearer") && bearer != ""
}

func unauthenticated(why string) error {
	err := connect.NewError(connect.CodeUnauthenticated, errors.New(why))
	err.Meta().Set("WWW-Authenticate", "Bearer")
	return err
}

// limitError means that a limit of the gateway was met.
type limitError struct {
	limit string // "account", "address" or "concurrent"
	after time.Duration
}

func (e *limitError) Error() string { return "too many requests: limit per " + e.limit }

func limited(limit string, after time.Duration) error { return &limitError{limit, after} }

// refuse turns an error into what the client is told. Here alone errors are mapped to codes; what is not
// known here is told to nobody but the operator.
func (g *Gateway) refuse(ctx context.Context, err error) error {
	told := g.tell(ctx, err)
	note(ctx).code = connect.CodeOf(told).String()
	return told
}

func (g *Gateway) tell(ctx context.Context, err error) *connect.Error {
	if told, ok := errors.AsType[*connect.Error](err); ok {
		return told
	}
	if l, ok := errors.AsType[*limitError](err); ok {
		g.metrics.limited.WithLabelValues(l.limit).Inc()
		return retryLater(connect.CodeResourceExhausted, l, l.after)
	}
	switch {
	case errors.Is(err, ErrBusy):
		return retryLater(connect.CodeResourceExhausted, ErrBusy, time.Second)
	case errors.Is(err, ErrUnavailable):
		return retryLater(connect.CodeUnavailable, ErrUnavailable, time.Second)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the vault did not answer in time"))
	}
	g.log.ErrorContext(ctx, "backend failed", "error", err)
	return connect.NewError(connect.CodeInternal, errInternal)
}

var errInternal = errors.New("internal error")

// retryLater says when in whole seconds, rounded up (RFC 9110 section 10.2.3).
func retryLater(code connect.Code, why error, after time.Duration) *connect.Error {
	err := connect.NewError(code, why)
	err.Meta().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	return err
}
