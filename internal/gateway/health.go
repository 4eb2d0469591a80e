// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout is how long the backend may take to show that it is there.
const readyTimeout = 2 * time.Second

// AdminHandler serves the operator: /metrics, /healthz and /readyz. It belongs on an address that clients cannot reach.
func (g *Gateway) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.registry, promhttp.HandlerOpts{}))
	g.serveHealth(mux)
	return mux
}

func (g *Gateway) serveHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", g.ready)
}

// ready says whether to send requests here: the backend has a descriptor, and no server is shutting down.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	select {
	case <-g.closing:
		say(w, http.StatusServiceUnavailable, "shutting down")
		return
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if _, err := g.backend.Descriptor(ctx); err != nil {
		say(w, http.StatusServiceUnavailable, ErrUnavailable.Error())
		return
	}
	say(w, http.StatusOK, "ready")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that has gone away needs no answer
}
