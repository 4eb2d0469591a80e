// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// socketName is the socket in a node's folder, or a symbolic link to it.
const socketName = "operator.sock"

// maxSocketPath is what every system takes: macOS has 104 bytes with a zero at the end, Linux 108.
const maxSocketPath = 103

// Listen makes the socket of the node in dir, for its owner alone. The caller holds the folder's lock, so a socket that is there already was left by a
// process that is gone. Closing the listener removes it.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	if len(path) <= maxSocketPath {
		return listen(path)
	}
	return listenElsewhere(path)
}

func listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil { // until now the folder's mode has kept others out
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// listenElsewhere makes the socket in a short folder of its own, which nobody else may enter, and a link to it at path.
func listenElsewhere(path string) (net.Listener, error) {
	short, err := os.MkdirTemp("", "cofferd-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(short, "s")
	if len(socket) > maxSocketPath {
		return nil, errors.Join(fmt.Errorf("both %s and %s are too long for a socket's path: take a shorter dir", path, socket), os.Remove(short))
	}
	l, err := listen(socket)
	if err != nil {
		return nil, errors.Join(err, os.Remove(short))
	}
	if err := os.Symlink(socket, path); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(short))
	}
	return linked{l, path}, nil
}

// linked is a listener that takes its link along.
type linked struct {
	net.Listener
	link string
}

func (l linked) Close() error { return errors.Join(l.Listener.Close(), removeSocket(l.link)) }

// removeSocket removes what was left of a socket, and the folder that it was given elsewhere.
func removeSocket(path string) error {
	if target, err := os.Readlink(path); err == nil {
		_ = os.Remove(target)               // gone with its listener, or left by a killed one
		_ = os.Remove(filepath.Dir(target)) // only if it is empty: then it was made for the socket
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// socketOf is where the node in dir listens.
func socketOf(dir string) string {
	path := filepath.Join(dir, socketName)
	if target, err := os.Readlink(path); err == nil {
		return target
	}
	return path
}
