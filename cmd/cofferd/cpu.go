// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/coffer-backup/coffer/internal/proc"
)

// cpu is the processor time that processes have taken; 0 where that is not known.
type cpu struct{ client, host, core time.Duration }

func (c cpu) since(begin cpu) cpu {
	return cpu{c.client - begin.client, c.host - begin.host, c.core - begin.core}
}

// cpuOfChildren returns what the living children of a process have taken.
func cpuOfChildren(pid int) (sum time.Duration) {
	for _, child := range proc.ChildrenOf(pid) {
		sum += proc.CPUOf(child)
	}
	return sum
}
