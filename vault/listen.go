// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"io/fs"
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
	if port != "0" {
		return net.Listen("tcp", c.Listen)
	}
	switch kept, err := os.ReadFile(c.portPath()); {
	case err == nil:
		if l, err := net.Listen("tcp", net.JoinHostPort(host, strings.TrimSpace(string(kept)))); err == nil {
			return l, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, err
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = os.WriteFile(c.portPath(), []byte(port+"\n"), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
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
