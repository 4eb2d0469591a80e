// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
)

// notes are what is written down about a request when it has ended.
type notes struct {
	method  string
	code    string
	size    int  // of the envelope, in bytes
	address name // shown at debug level only
}

const (
	codeOK = "ok"
	// codeUnread is of a request that was none: malformed, too long, of another content type, or broken off.
	codeUnread = "unread"
)

type notesKey struct{}

// note returns the notes of the request that ctx belongs to. Without observe around the handler there are none, which is a bug.
func note(ctx context.Context) *notes { return ctx.Value(notesKey{}).(*notes) }

// observe bounds and watches a procedure: one slot, at most limit bytes of body, a line in the log, metrics, and a
// panic ends the request and not the process.
func (g *Gateway) observe(method string, limit int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &notes{method: method, code: codeUnread}
		r = r.WithContext(context.WithValue(r.Context(), notesKey{}, n))
		r.Body = http.MaxBytesReader(w, r.Body, int64(limit))
		begin := time.Now()
		defer func() { g.finish(r.Context(), n, time.Since(begin)) }()
		defer g.survive(w, r)
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		default:
			g.fail(w, r, limited("concurrent", time.Second))
			return
		}
		g.metrics.inFlight.Inc()
		defer g.metrics.inFlight.Dec()
		next.ServeHTTP(w, r)
	})
}

// survive ends a request that panicked. The panic's value stays out of the log: it may hold what the client sent.
func (g *Gateway) survive(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	g.metrics.panics.Inc()
	g.log.ErrorContext(r.Context(), "panic", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	g.fail(w, r, connect.NewError(connect.CodeInternal, errInternal))
}

// fail answers outside of a procedure, in the protocol that the client speaks.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	_ = g.errors.Write(w, r, g.refuse(r.Context(), err)) // a client that has gone away needs no answer
}

func (g *Gateway) finish(ctx context.Context, n *notes, took time.Duration) {
	g.metrics.requests.WithLabelValues(n.method, n.code).Inc()
	g.metrics.seconds.WithLabelValues(n.method).Observe(took.Seconds())
	attrs := []slog.Attr{slog.String("method", n.method), slog.String("code", n.code),
		slog.Duration("duration", took), slog.String("size", sizeClass(n.size))}
	if g.log.Enabled(ctx, slog.LevelDebug) {
		attrs = append(attrs, slog.String("address", n.address.String()))
	}
	g.log.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

// sizeClass is the least power of two that an envelope fits in.
func sizeClass(size int) string {
	class := 1
	for class<<10 < size {
		class *= 2
	}
	return fmt.Sprintf("%dKiB", class)
}

// metrics have few label values, all of them ours: what a client sends makes no series.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	limited  *prometheus.CounterVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "coffer_gateway_requests_total",
			Help: "Requests by method and result."}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "coffer_gateway_request_seconds",
			Help: "Time from a request's headers to its answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"method"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "coffer_gateway_limited_total",
			Help: "Requests refused by a limit of the gateway."}, []string{"limit"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "coffer_gateway_in_flight_requests",
			Help: "Requests that are worked on."}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "coffer_gateway_panics_total",
			Help: "Requests that ended in a panic: each is a bug."}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.limited, m.inFlight, m.panics} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
