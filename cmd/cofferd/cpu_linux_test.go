// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/proc"
	"github.com/coffer-backup/coffer/internal/settings"
)

// TestCPUOfThis: both ways to ask the kernel agree, to the two ticks that one of them rounds off.
func TestCPUOfThis(t *testing.T) {
	for ownCPU() < 200*time.Millisecond {
		os.ReadFile("/proc/self/stat") // takes time of both kinds
	}
	before := ownCPU()
	inProc := proc.CPUOf(os.Getpid())
	if after := ownCPU(); inProc < before-2*time.Second/proc.UserHz || inProc > after {
		t.Errorf("%v, between %v and %v", inProc, before, after)
	}
}

// TestCPU: work shows in the time of the process that did it, and a core's is not its host's.
func TestCPU(t *testing.T) {
	t.Parallel()
	d := startDev(t, t.TempDir(), "--no-limits", "--core", settings.CoreProcess)
	w := loadOn(t, d, 1, 1).workers[0]
	if err := w.take(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "everybody has worked", func() bool {
		if err := w.register(t.Context()); err != nil {
			t.Fatal(err)
		}
		return proc.CPUOf(d.Process.Pid) > 0 && cpuOfChildren(d.Process.Pid) > 0 && ownCPU() > 0
	})
	if inOne := startDev(t, t.TempDir(), "--core", settings.CoreInProcess); cpuOfChildren(inOne.Process.Pid) != 0 {
		t.Error("a core without a process has taken time")
	}
}
