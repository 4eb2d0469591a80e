// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package vault

import (
	"context"
	"errors"
	"net"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

var errNoProcess = errors.New("on this system the core runs in its host's process only")

func (l *launcher) startProcess(context.Context) (*stream.Conn, error) { return nil, errNoProcess }

// CoreConn returns the connection of a core's process to its host.
func CoreConn() (net.Conn, error) { return nil, errNoProcess }

func readPiped() (Secret, error) { return nil, errNoProcess }
