// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/link"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/wire"
)

type gatewayCmd struct {
	Config      string `default:"gateway.toml" placeholder:"FILE" help:"The gateway's file (gateway.toml)."`
	Fingerprint bool   `xor:"instead" help:"Print the fingerprint of this gateway's certificate, for the nodes' files, and end."`
	Example     bool   `xor:"instead" help:"Print an example of the file, with comments, and end."`
	ReadyFile   string `placeholder:"FILE" help:"Write the URL to FILE once it listens; removed at the end."`
	Quiet       bool   `help:"Log what goes wrong, and not every request."`
}

func (gatewayCmd) Help() string {
	return "It starts before the vault does, finds each partition's leader among the nodes by itself, and serves while any majority lives. It is trusted with no secret: " +
		"what it passes on is sealed between the clients and the cores."
}

func (c *gatewayCmd) Run(a *app) error {
	if c.Example {
		_, err := io.WriteString(a.out, settings.GatewayExample)
		return err
	}
	config, err := settings.ReadGateway(c.Config)
	if err != nil {
		return err
	}
	gate, err := openGate(config.Dir)
	if err != nil {
		return err
	}
	if c.Fingerprint {
		_, err := fmt.Fprintln(a.out, gate.fingerprint())
		return err
	}
	level := slog.LevelInfo
	if c.Quiet {
		level = slog.LevelWarn
	}
	s, err := openPublic(config, gate, newLogger(a.err, level))
	if err != nil {
		return err
	}
	defer s.close()
	if c.ReadyFile != "" {
		if err := writeReadyFile(c.ReadyFile, s.url()); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "The gateway listens at %s\n", s.url())
	return errors.Join(s.run(a.ctx), removeReadyFile(c.ReadyFile))
}

// public is a gateway in a process of its own.
type public struct {
	config  *settings.Gateway
	router  *link.Router
	backend backend
	learner *learner
	edges   []edge
}

func openPublic(config *settings.Gateway, gate *gate, log *slog.Logger) (_ *public, err error) {
	p := &public{config: config}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.router = gate.router(config.Nodes, log)
	p.backend.serve(p.router)
	p.learner = &learner{backend: &p.backend, log: log}
	limits := gateway.Limits{MaxRequestBytes: wire.MaxEnvelope, PerAccountPerMinute: config.PerAccount, PerAddressPerMinute: config.PerAddress}
	g, err := gateway.New(gateway.Config{Backend: &p.backend, Verify: p.learner.verify, Limits: limits, Logger: log})
	if err != nil {
		return nil, err
	}
	if err := p.listen(g); err != nil {
		return nil, err
	}
	if config.Admin != "" {
		l, err := listenHere(config.Admin)
		if err != nil {
			return nil, err
		}
		server := g.Server()
		server.Handler = forThisMachine(l, g.AdminHandler())
		p.edges = append(p.edges, edge{server, l})
	}
	return p, nil
}

// listen listens where clients connect, with TLS if there is a certificate.
func (p *public) listen(g *gateway.Gateway) error {
	server := g.Server()
	server.Handler = p.handler(g.Handler())
	if !p.config.InsecureHTTP {
		pair, err := tls.LoadX509KeyPair(p.config.Certificate, p.config.Key)
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	l, err := net.Listen("tcp", p.config.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %w", errInUse, err)
	}
	if err != nil {
		return err
	}
	p.edges = append(p.edges, edge{server, l})
	return nil
}

// handler serves the gateway, and where clients log in.
func (p *public) handler(edge http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", edge)
	if p.config.IssuerURL != "" {
		mux.HandleFunc("GET /.well-known/coffer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(discovery{p.config.IssuerURL}) // a client that has gone away needs no answer
		})
	}
	return mux
}

func (p *public) url() string {
	if p.config.InsecureHTTP {
		return "http://" + p.edges[0].listener.Addr().String()
	}
	return "https://" + p.edges[0].listener.Addr().String()
}

// run serves until ctx ends, and lets the requests that are under way finish.
func (p *public) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	routing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return p.router.Run(routing) })
	for _, e := range p.edges {
		group.Go(e.serve)
	}
	group.Go(func() error { return p.learner.run(ctx) })
	group.Go(func() error {
		defer stop()
		<-ctx.Done()
		return drain(routing, p.edges)
	})
	return group.Wait()
}

// close gives back what openPublic took. Listeners that were served are closed already.
func (p *public) close() {
	for _, e := range p.edges {
		e.listener.Close()
	}
}
