// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forThisMachine refuses what was not sent to a name of this machine. A web page that its user has open could otherwise have its own name
// resolve to 127.0.0.1 (DNS rebinding): to the browser it would be the page's own server, and the page could log in as anyone.
func forThisMachine(listener net.Listener, h http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // which a TCP address always has
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isThisMachine(r.Host, port) {
			http.Error(w, "This server is for development, and answers to localhost:"+port+" or a loopback address with that port, and to no other name.",
				http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isThisMachine(host, port string) bool {
	name, asked, err := net.SplitHostPort(host)
	if err != nil { // the port of http is left out
		name, asked = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "80"
	}
	ip, err := netip.ParseAddr(name)
	return asked == port && (strings.EqualFold(name, "localhost") || err == nil && ip.IsLoopback())
}
