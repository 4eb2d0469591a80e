// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "time"

// ownCPU does not know.
func ownCPU() time.Duration { return 0 }
