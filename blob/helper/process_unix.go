// SPDX-License-Identifier: Apache-2.0

//go:build unix

package helper

import (
	"os"
	"os/exec"
	"syscall"
)

// inOwnGroup keeps what is typed at the terminal from the helper: who started it decides when it ends.
func inOwnGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // it may be gone already
	_ = p.Kill()
}
