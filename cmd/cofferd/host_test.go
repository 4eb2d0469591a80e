// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func TestIsThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:7433": true, "localhost:7433": true, "LocalHost:7433": true, "[::1]:7433": true, "127.9.9.9:7433": true,
		"": false, ":7433": false, "127.0.0.1": false, "127.0.0.1:": false, "localhost:80": false, "[::1]": false, "127.0.0.1:7433:7433": false,
		"evil.example:7433": false, "localhost.evil.example:7433": false, "127.0.0.1.evil.example:7433": false, "192.0.2.1:7433": false, "0.0.0.0:7433": false,
	} {
		if isThisMachine(host, "7433") != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "127.0.0.1:80"} {
		if !isThisMachine(host, "80") {
			t.Errorf("%q at port 80 is refused", host)
		}
	}
}

// TestRebinding asks every part of a server as a web page would whose name resolves to this machine.
func TestRebinding(t *testing.T) {
	s := must(openServer(serverConfig{dir: t.TempDir(), listen: "127.0.0.1:0", admin: "127.0.0.1:0", replicas: 1, limits: unlimited(), logger: newLogger(t.Output(), 0)}))(t)
	public, admin := s.edges[0].listener.Addr().String(), s.edges[1].listener.Addr().String()
	err := serveHere(t, s, func(context.Context, *wire.Descriptor) {
		for path, address := range map[string]string{
			"/readyz": public, "/.well-known/coffer": public, "/issuer/.well-known/openid-configuration": public, "/metrics": admin,
		} {
			_, port, _ := net.SplitHostPort(address)
			if status, said := getAs(t, address, path, "evil.example:"+port); status != http.StatusMisdirectedRequest || !strings.Contains(said, "localhost:"+port) {
				t.Errorf("%s by another name: %d %s", path, status, said)
			}
			if status, said := getAs(t, address, path, "localhost:"+port); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, said)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func getAs(t *testing.T, address, path, host string) (status int, said string) {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil))(t)
	request.Host = host
	response := must((&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request))(t)
	defer response.Body.Close()
	return response.StatusCode, string(must(io.ReadAll(response.Body))(t))
}
