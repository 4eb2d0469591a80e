// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coffer-backup/coffer/wire"
)

const (
	procedureCall       = "/coffer.v1.Vault/Call"
	procedureDescriptor = "/coffer.v1.Vault/Descriptor"

	bytesValueSlack = 16               // a BytesValue's tag and length
	httpTimeout     = 30 * time.Second // of one exchange
)

// HTTPConfig is how to reach a gateway.
type HTTPConfig struct {
	URL      string       // https; or http to this machine itself
	Tokens   TokenSource  // nil: Descriptor alone can be asked for
	Audience string       // of the gateway's tokens: the policy's GatewayAudience
	Client   *http.Client // nil: one with a timeout
}

// HTTP is the Transport to a gateway: two unary procedures of the Connect protocol, which carry bytes.
type HTTP struct {
	tokens     TokenSource
	audience   string
	call       *connect.Client[wrapperspb.BytesValue, wrapperspb.BytesValue]
	descriptor *connect.Client[emptypb.Empty, wrapperspb.BytesValue]
}

// NewHTTP returns a transport. It sends nothing.
func NewHTTP(c HTTPConfig) (*HTTP, error) {
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	client := noRedirects(c.Client)
	at := func(procedure string) string { return base.JoinPath(procedure).String() }
	return &HTTP{
		tokens: c.Tokens, audience: c.Audience,
		call:       connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](client, at(procedureCall), bounds(wire.MaxEnvelope)),
		descriptor: connect.NewClient[emptypb.Empty, wrapperspb.BytesValue](client, at(procedureDescriptor), bounds(wire.MaxDescriptor)),
	}, nil
}

// bounds limits what is read. Sealed bytes do not compress, and nobody is to send us what expands.
func bounds(size int) connect.ClientOption {
	return connect.WithClientOptions(connect.WithReadMaxBytes(size+bytesValueSlack), connect.WithAcceptCompression("gzip", nil, nil))
}

// noRedirects returns the client without redirects: a login goes to the host that the user named.
func noRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Timeout: httpTimeout}
	}
	copied := *c
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// parseURL accepts https, and http to a loopback address, where nobody can listen in who could not read this process as well.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("recovery: the URL must be a plain one such as https://vault.example") // not shown: it may hold a password
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("recovery: %q must begin with https://; only this machine itself may be reached without", text)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// Call implements Transport.
func (h *HTTP) Call(ctx context.Context, envelope []byte) ([]byte, error) {
	if h.tokens == nil {
		return nil, ErrLogin
	}
	token, err := h.tokens.Token(ctx, h.audience)
	if err != nil {
		return nil, err
	}
	request := connect.NewRequest(wrapperspb.Bytes(envelope))
	request.Header().Set("Authorization", "Bearer "+token)
	answer, err := h.call.CallUnary(ctx, request)
	if err != nil {
		return nil, fromGateway(err)
	}
	return answer.Msg.GetValue(), nil
}

// Descriptor implements Transport.
func (h *HTTP) Descriptor(ctx context.Context) ([]byte, error) {
	answer, err := h.descriptor.CallUnary(ctx, connect.NewRequest(new(emptypb.Empty)))
	if err != nil {
		return nil, fromGateway(err)
	}
	return answer.Msg.GetValue(), nil
}

// fromGateway turns the gateway's error into what a Client knows.
func fromGateway(err error) error {
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return fmt.Errorf("%w (the gateway refuses it)", ErrLogin)
	case connect.CodeResourceExhausted, connect.CodeUnavailable:
		if after := retryAfter(err); after > 0 {
			return &Busy{RetryAfter: after}
		}
	}
	if local, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, local)
	}
	// The text is the gateway's, who may write there what it wants, about guesses too.
	return fmt.Errorf("%w (the gateway: %s)", ErrUnavailable, connect.CodeOf(err))
}

// retryAfter reads the header in its seconds form (RFC 9110 section 10.2.3); 0 if there is none.
func retryAfter(err error) time.Duration {
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return 0
	}
	seconds, err := strconv.ParseUint(refused.Meta().Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return duration(seconds * 1000)
}
