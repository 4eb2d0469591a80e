// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// serverConfig says where a development server lives and how it runs.
type serverConfig struct {
	dir      string
	listen   string
	admin    string   // for the metrics; empty: nowhere
	command  []string // of the core's process; nil: the core runs in this one
	replicas int      // more than 1: each in a process and a folder of its own
	policy   policyFlags
	limits   gateway.Limits
	logger   *slog.Logger
	notice   io.Writer // gets what a person who waits wants to know
}

// server is a vault with its gateway and its issuer: one folder, one address.
type server struct {
	config  serverConfig
	url     string
	lock    io.Closer
	issuer  *issuer.Issuer
	backend backend
	edges   []edge
}

// edge is an HTTP server and where it listens.
type edge struct {
	*http.Server
	listener net.Listener
}

// openServer takes the address and the folder. Nothing answers before run.
func openServer(c serverConfig) (_ *server, err error) {
	if err := c.policy.check(); err != nil {
		return nil, err
	}
	s := &server{config: c}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	public, err := listenHere(c.listen)
	if err != nil {
		return nil, err
	}
	s.edges = []edge{{nil, public}}
	s.url = "http://" + public.Addr().String()
	if c.admin != "" {
		admin, err := listenHere(c.admin)
		if err != nil {
			return nil, err
		}
		s.edges = append(s.edges, edge{nil, admin})
	}
	if s.lock, err = lockFolder(c.dir); err != nil {
		return nil, err
	}
	if s.issuer, err = issuer.Open(filepath.Join(c.dir, "issuer"), issuerName); err != nil {
		return nil, err
	}
	return s, s.makeEdges()
}

// release gives back what a server holds. Listeners that were served are closed already.
func (s *server) release() {
	for _, e := range s.edges {
		e.listener.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

func (s *server) makeEdges() error {
	verifier, err := token.NewVerifier(issuerName, gatewayAudience, s.issuer.Keys())
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	if s.config.replicas == 1 {
		registry = vaultRegistry(s.backend.status)
	}
	g, err := gateway.New(gateway.Config{
		Backend: &s.backend, Verify: verifier.Verify, Limits: s.config.limits, Logger: s.config.logger, Registry: registry,
	})
	if err != nil {
		return err
	}
	for i, handler := range []http.Handler{s.handler(g.Handler()), g.AdminHandler()}[:len(s.edges)] {
		s.edges[i].Server = g.Server()
		s.edges[i].Handler = forThisMachine(s.edges[i].listener, handler)
	}
	return nil
}

// handler serves the gateway, the issuer below it, and where the issuer is.
func (s *server) handler(edge http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", edge)
	mux.Handle("/issuer/", http.StripPrefix("/issuer", s.issuer.Handler()))
	mux.HandleFunc("GET /.well-known/coffer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(discovery{s.url + "/issuer"}) // a client that has gone away needs no answer
	})
	return mux
}

// discovery is what a gateway's users find out from its URL.
type discovery struct {
	IssuerURL string `json:"issuer_url"`
}

// devLimits are the default ones, and what is too large for the vault does not reach it.
var devLimits = gateway.Limits{MaxRequestBytes: wire.MaxEnvelope}

func unlimited() gateway.Limits {
	l := devLimits
	l.PerAccountPerMinute, l.PerAddressPerMinute = -1, -1
	return l
}

// serve serves until the server is shut down.
func (e edge) serve() error {
	serve := e.Serve
	if e.TLSConfig != nil {
		serve = func(l net.Listener) error { return e.ServeTLS(l, "", "") }
	}
	if err := serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
