// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net/url"
)

// Gateway is the file of one gateway.
type Gateway struct {
	Dir          string `toml:"dir"`
	Listen       string `toml:"listen"`
	Admin        string `toml:"admin"` // empty: nowhere
	Certificate  string `toml:"certificate"`
	Key          string `toml:"key"`
	InsecureHTTP bool   `toml:"insecure_http"`
	IssuerURL    string `toml:"issuer_url"`
	PerAccount   int    `toml:"per_account"` // calls a minute; -1: any number
	PerAddress   int    `toml:"per_address"` // requests a minute; -1: any number
	Nodes        []Peer `toml:"nodes"`
}

// Peer is a node as a gateway reaches it.
type Peer struct {
	Address     string      `toml:"address"`
	Fingerprint Fingerprint `toml:"fingerprint"`
}

const maxNodes = 64

// ReadGateway reads a gateway's file.
func ReadGateway(path string) (*Gateway, error) {
	g := &Gateway{Dir: ".", Listen: ":443", PerAccount: 120, PerAddress: 600}
	base, err := read(path, g)
	if err != nil {
		return nil, err
	}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g.Dir, g.Certificate, g.Key = under(base, g.Dir), under(base, g.Certificate), under(base, g.Key)
	return g, nil
}

func (g *Gateway) check() error {
	if g.Dir == "" {
		return invalid("dir is empty")
	}
	if err := checkAddress("listen", g.Listen); err != nil {
		return err
	}
	if g.Admin != "" {
		if err := checkLoopback("admin", g.Admin); err != nil {
			return err
		}
	}
	if err := g.checkTLS(); err != nil {
		return err
	}
	if g.IssuerURL != "" {
		if u, err := url.Parse(g.IssuerURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return invalid("issuer_url: %q is no URL", g.IssuerURL)
		}
	}
	for name, rate := range map[string]int{"per_account": g.PerAccount, "per_address": g.PerAddress} {
		if rate == 0 || rate < -1 {
			return invalid("%s must be 1 or more, or -1 for any number", name)
		}
	}
	if len(g.Nodes) == 0 || len(g.Nodes) > maxNodes {
		return invalid("nodes: there must be 1 to %d", maxNodes)
	}
	for _, n := range g.Nodes {
		if err := checkAddress("nodes.address", n.Address); err != nil {
			return err
		}
		if n.Fingerprint == (Fingerprint{}) {
			return invalid("nodes: %s has no fingerprint", n.Address)
		}
	}
	return nil
}

// checkTLS wants a certificate, or a word that there is none on an address that only this machine reaches.
func (g *Gateway) checkTLS() error {
	switch {
	case g.InsecureHTTP && g.Certificate+g.Key != "":
		return invalid("insecure_http and a certificate exclude each other")
	case g.InsecureHTTP:
		return checkLoopback("listen with insecure_http", g.Listen)
	case g.Certificate == "" || g.Key == "":
		return invalid("certificate and key name the files for TLS; behind what ends TLS on this machine, set insecure_http = true instead")
	}
	return nil
}
