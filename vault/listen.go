// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

func (c *Config) portPath() string { return filepath.Join(c.Dir, "port") }

// listen listens where the others connect. A port that the kernel picked is kept over restarts, so that they find this node
// again; if it was taken meanwhile it is another one, which the fleet is told.
func (c *Config) listen() (net.Listener, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("vault: listen: %w", err)
	}
	if port == "0" {
		if kept, err := os.ReadFile(c.portPath()); err == nil {
			if l, err := net.Listen("tcp", net.JoinHostPort(host, strings.TrimSpace(string(kept)))); err == nil {
				return l, nil
			}
		}
	}
	return net.Listen("tcp", c.Listen)
}

// keepPort has the next run listen at the port that this one does. The caller holds the store's lock.
func (c *Config) keepPort(l net.Listener) error {
	if l == nil {
		return nil
	}
	return os.WriteFile(c.portPath(), fmt.Appendln(nil, l.Addr().(*net.TCPAddr).Port), 0o600)
}

// address is what the fleet is told: where this node is reached that listens at l.
func (c *Config) address(l net.Listener) (string, error) {
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	at := l.Addr().(*net.TCPAddr)
	if !at.IP.IsUnspecified() {
		return at.String(), nil
	}
	name, err := os.Hostname()
	return net.JoinHostPort(name, fmt.Sprint(at.Port)), err
}
