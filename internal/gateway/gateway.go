// SPDX-License-Identifier: Apache-2.0

// Package gateway is the public edge of a vault: HTTPS, who may ask, how often,
// and what an error looks like. It serves vault.proto by the Connect, gRPC and
// gRPC-Web protocols, and to plain JSON.
//
// It guarantees that what a request can take of memory and time is bounded
// before any of it is taken, that nobody without a token for the gateway's
// audience reaches the vault, and that accounts and addresses come into no log
// and no metric. Nobody trusts it with secrets: envelopes are sealed between
// client and core, which checks a token of its own. It can deny service, and it
// sees who asks, when, and how large an envelope is. It refuses what is
// malformed, too large, too frequent or not authenticated.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coffer-backup/coffer/internal/token"
)

var (
	// ErrUnavailable means that nothing answers now. A request that met it may be repeated.
	ErrUnavailable = errors.New("the vault cannot answer now")
	// ErrBusy means that too many requests are waiting for the vault.
	ErrBusy = errors.New("the vault has too much to do")
)

// Backend is the vault as the gateway sees it. It is used concurrently, and may fail and come back at any time. Apart from ErrUnavailable, ErrBusy
// and those of ctx its errors are not told to clients.
type Backend interface {
	// Handle brings a sealed request to the core and returns its sealed answer.
	Handle(ctx context.Context, request []byte) ([]byte, error)
	// Descriptor returns the fleet's descriptor.
	Descriptor(ctx context.Context) ([]byte, error)
}

// Config is what a gateway needs.
type Config struct {
	Backend Backend
	// Verify checks a token for the gateway's own audience, as token.Verifier does. It may fail with ErrUnavailable while the issuer's keys are not known.
	Verify   func(token string, nowMs int64) (token.Claims, error)
	Limits   Limits
	Logger   *slog.Logger         // nil: slog.Default
	Registry *prometheus.Registry // gets the gateway's metrics and is served by AdminHandler; nil: a new one
}

// Limits bound what the gateway lets through. 0 means the default; a negative rate means none, where something
// in front of the gateway limits it.
type Limits struct {
	MaxRequestBytes     int // of an envelope; 16 KiB
	PerAccountPerMinute int // calls of an account; 120. As many may come at once
	PerAddressPerMinute int // requests of an IPv4 address or an IPv6 /64; 600. As many may come at once
	Concurrent          int // requests that are worked on; 1024
}

func (l Limits) withDefaults() (Limits, error) {
	if l.MaxRequestBytes < 0 || l.Concurrent < 0 {
		return l, errors.New("gateway: a limit is negative")
	}
	for limit, value := range map[*int]int{&l.MaxRequestBytes: 16 << 10, &l.PerAccountPerMinute: 120, &l.PerAddressPerMinute: 600, &l.Concurrent: 1024} {
		if *limit == 0 {
			*limit = value
		}
	}
	return l, nil
}

// Gateway is an edge to one backend. It has no goroutines of its own.
type Gateway struct {
	backend  Backend
	verify   func(token string, nowMs int64) (token.Claims, error)
	limits   Limits
	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *metrics

	names     names
	accounts  *limiter
	addresses *limiter
	slots     chan struct{}   // one for each request that is worked on
	closing   <-chan struct{} // closed when a server of the gateway shuts down
	close     func()          // closes closing
	errors    *connect.ErrorWriter
	now       func() time.Time
}

// New returns a gateway. The backend need not be there yet.
func New(c Config) (*Gateway, error) {
	limits, err := c.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Backend == nil || c.Verify == nil {
		return nil, errors.New("gateway: a backend and a verifier are needed")
	}
	g := &Gateway{
		backend: c.Backend, verify: c.Verify, limits: limits, log: c.Logger, registry: c.Registry,
		names: newNames(), accounts: newLimiter(limits.PerAccountPerMinute), addresses: newLimiter(limits.PerAddressPerMinute),
		slots: make(chan struct{}, limits.Concurrent), errors: connect.NewErrorWriter(), now: time.Now,
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.closing, g.close = ctx.Done(), cancel
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.registry == nil {
		g.registry = prometheus.NewRegistry()
	}
	g.metrics, err = newMetrics(g.registry)
	return g, err
}

// Handler serves clients: the service, and /healthz and /readyz.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	g.serveCall(mux)
	g.serveDescriptor(mux)
	g.serveHealth(mux)
	return mux
}

// Timeouts of a connection: whoever sends slowly holds it no longer than this.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	callTimeout   = 25 * time.Second // longer than the core takes to give a request up
	writeTimeout  = readTimeout + callTimeout
	idleTimeout   = 2 * time.Minute
	pingTimeout   = 30 * time.Second

	maxHeaderBytes = 16 << 10
	maxStreams     = 128 // of one HTTP/2 connection
)

// Server returns a server for Handler with HTTP/1.1 and HTTP/2, over TLS if the caller sets its TLSConfig, else in the
// clear, for loopback and behind what ends TLS. Its Shutdown makes the gateway not ready and lets requests finish.
func (g *Gateway) Server() *http.Server {
	s := &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingTimeout},
		Protocols:      new(http.Protocols),
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelDebug), // its lines name addresses
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.RegisterOnShutdown(g.close)
	return s
}
