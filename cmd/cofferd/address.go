// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// listenHere listens on a loopback address, and refuses every other: the development issuer lets everyone in who can connect.
func listenHere(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError{err}
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1" // and not what a resolver makes of it
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return nil, usagef("%s is not an address of this machine alone, such as 127.0.0.1:7433: whoever can connect may log in as anyone", address)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: %w", errInUse, err)
	}
	return listener, err
}
