// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// way is the demo's network between phone and vault. It counts messages, and can have something happen behind one.
type way struct {
	url    string
	server *http.Server
	ended  chan struct{}

	mu    sync.Mutex
	calls int // answered since restart
	after int // 0: nothing happens
	do    func() error
}

func openWay(to string) (*way, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &way{url: "http://" + listener.Addr().String(), ended: make(chan struct{})}
	w.server = &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) }, // which sets the host, too
		ModifyResponse: w.answered,
	}}
	go func() {
		defer close(w.ended)
		w.server.Serve(listener)
	}()
	return w, nil
}

// restart begins to count anew and returns what was counted.
func (w *way) restart() (calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, w.calls = w.calls, 0
	return calls
}

// killAfter has do done once, between the answer to the call of that number and its arrival.
func (w *way) killAfter(calls int, do func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.after, w.do = calls, do
}

func (w *way) answered(r *http.Response) error {
	if !strings.HasSuffix(r.Request.URL.Path, "/Call") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.do == nil || w.calls != w.after {
		return nil
	}
	do := w.do
	w.do = nil
	return do()
}

func (w *way) close() {
	w.server.Close()
	<-w.ended
}
