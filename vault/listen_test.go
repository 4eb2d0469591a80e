// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"net"
	"os"
	"testing"
)

func listenAt(t *testing.T, c *Config) (net.Listener, string) {
	t.Helper()
	l, err := c.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	address, err := c.address(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, address
}

// TestPortIsKept, unless somebody else has it.
func TestPortIsKept(t *testing.T) {
	c := &Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	l, first := listenAt(t, c)
	if err := c.keepPort(l); err != nil {
		t.Fatal(err)
	}
	if _, other := listenAt(t, c); other == first {
		t.Errorf("two listen at %s", first)
	}
	l.Close()
	if _, again := listenAt(t, c); again != first {
		t.Errorf("at %s, then at %s", first, again)
	}
}

func TestAdvertised(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	l, address := listenAt(t, &Config{Dir: t.TempDir(), Listen: ":0"})
	if _, port, _ := net.SplitHostPort(l.Addr().String()); address != net.JoinHostPort(name, port) {
		t.Errorf("advertised as %s", address)
	}
	if _, address = listenAt(t, &Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Advertise: "node:7"}); address != "node:7" {
		t.Errorf("advertised as %s", address)
	}
	if _, err := (&Config{Listen: "nowhere"}).listen(); err == nil {
		t.Error("an address without a port was taken")
	}
}
