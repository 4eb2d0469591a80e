// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"os"
	"os/exec"
	"syscall"
)

// inOwnGroup keeps what is typed at the terminal from the helper: who started it decides when it ends.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

func killGroup(p *os.Process) { _ = p.Kill() } // it may be gone already
