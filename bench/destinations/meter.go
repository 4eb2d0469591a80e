// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// A meter is a proxy that counts.
type meter struct {
	address  string
	server   *http.Server
	requests atomic.Int64
	up, down atomic.Int64 // bytes of bodies
}

// traffic is what passed in some time.
type traffic struct{ requests, up, down int64 }

func newMeter(upstream string) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{address: l.Addr().String()}
	target := &url.URL{Scheme: "http", Host: upstream}
	m.server = &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
			m.requests.Add(1)
			if r.Out.Body != nil {
				r.Out.Body = &counted{r.Out.Body, &m.up}
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Body = &counted{resp.Body, &m.down}
			return nil
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true},
	}}
	go m.server.Serve(l)
	return m, nil
}

func (m *meter) now() traffic {
	return traffic{m.requests.Load(), m.up.Load(), m.down.Load()}
}

func (t traffic) since(before traffic) traffic {
	return traffic{t.requests - before.requests, t.up - before.up, t.down - before.down}
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
