// SPDX-License-Identifier: Apache-2.0

//go:build unix

package vault

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// CoreFile is the file descriptor on which a core's process finds the connection to its host.
const CoreFile = 3

// startProcess starts the core in a process of its own, connected by a pair of Unix sockets that nobody else can reach.
// The process ends itself when the connection ends, and is killed with ctx.
func (l *launcher) startProcess(ctx context.Context) (*stream.Conn, error) {
	host, core, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer core.Close() // the child has its own
	config := l.config.core()
	command := slices.Concat(l.config.Command, config.CoreArgs())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{core}
	_, pin, err := config.Seal.ForProcess() // CoreArgs has the text
	if err != nil {
		host.Close()
		return nil, err
	}
	if pin != nil {
		defer pin.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, pin)
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what is typed at the terminal is for the host, which stops the core in order
	if err := cmd.Start(); err != nil {
		host.Close()
		return nil, fmt.Errorf("start of the core's process: %w", err)
	}
	l.lives.Go(func() {
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			l.config.logger().Error("the core's process ended", "error", err)
		}
	})
	return stream.NewConn(host), nil
}

func socketPair() (host net.Conn, core *os.File, err error) {
	syscall.ForkLock.RLock() // no child that is started now gets the other end, too
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	core = os.NewFile(uintptr(fds[1]), "core")
	file := os.NewFile(uintptr(fds[0]), "host")
	defer file.Close() // FileConn has its own
	if host, err = net.FileConn(file); err != nil {
		core.Close()
		return nil, nil, err
	}
	return host, core, nil
}

// CoreConn returns the connection of a core's process to its host.
func CoreConn() (net.Conn, error) {
	file := os.NewFile(CoreFile, "host")
	if file == nil {
		return nil, os.ErrNotExist
	}
	defer file.Close()
	return net.FileConn(file)
}

// readPiped takes the PIN from there. It stays in this process's memory, because a token that comes back wants it again.
func readPiped() (Secret, error) {
	file := os.NewFile(PINDescriptor, "pin")
	if file == nil {
		return nil, os.ErrNotExist
	}
	defer file.Close()
	pin, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	return Kept(pin), nil
}
