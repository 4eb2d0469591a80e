// SPDX-License-Identifier: Apache-2.0

//go:build unix

package coffer

import "golang.org/x/sys/unix"

var diskFullErrors = []error{unix.ENOSPC, unix.EDQUOT}
