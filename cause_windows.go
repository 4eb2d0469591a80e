// SPDX-License-Identifier: Apache-2.0

package coffer

import "golang.org/x/sys/windows"

var diskFullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
