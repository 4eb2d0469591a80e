// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCoreHidesMemory looks at the owner of a core's files in /proc, which is root and nobody else once the process cannot be dumped;
// as root, where that tells nothing, at the switch alone.
func TestCoreHidesMemory(t *testing.T) {
	if err := hideMemory(); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	if dumpable := must(unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0))(t); dumpable != 0 {
		t.Errorf("the process can be dumped: %d", dumpable)
	}
	if os.Getuid() == 0 {
		return
	}
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getpid())); err == nil {
		t.Error("a process of the same user reads it")
	}
}
