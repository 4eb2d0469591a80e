// SPDX-License-Identifier: Apache-2.0

//go:build unix

package webdav_test

import (
	"os"
	"os/exec"
	"syscall"
)

// ofItsOwn has a server begin its processes in a group of their own, and not as root, as which Apache refuses to serve.
func ofItsOwn(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
}

func killAll(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
