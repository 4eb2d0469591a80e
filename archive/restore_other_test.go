// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package archive

import "testing"

// diskUse is not known on this system.
func diskUse(*testing.T, string) int64 { return 0 }

// unprivileged does nothing on a system without root.
func unprivileged(*testing.T) {}
