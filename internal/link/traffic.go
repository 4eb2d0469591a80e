// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net"
	"sync/atomic"
)

// traffic counts what a node sends to the others.
type traffic struct {
	bytes, writes atomic.Uint64
}

// counted is a connection under TLS, so what it counts is what goes over the wire.
type counted struct {
	net.Conn
	traffic *traffic
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.traffic != nil {
		c.traffic.bytes.Add(uint64(n))
		c.traffic.writes.Add(1)
	}
	return n, err
}

// Sent returns the bytes that went to other nodes since NewNetwork, TLS included, and in how many writes. Answers to strangers are left out.
func (n *Network) Sent() (bytes, writes uint64) {
	return n.traffic.bytes.Load(), n.traffic.writes.Load()
}
