// SPDX-License-Identifier: Apache-2.0

package webdav_test

import "os/exec"

func ofItsOwn(*exec.Cmd) {}

func killAll(cmd *exec.Cmd) { cmd.Process.Kill() }
