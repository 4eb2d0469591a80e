// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cpu is the processor time that processes have taken; 0 where that is not known.
type cpu struct{ client, host, core time.Duration }

func (c cpu) since(begin cpu) cpu {
	return cpu{c.client - begin.client, c.host - begin.host, c.core - begin.core}
}

// userHz is the unit of times in Linux's /proc: it is the same on every machine.
const userHz = 100

// cpuOf returns what a process has taken; 0 where there is no /proc.
func cpuOf(pid int) time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The second field is a name in parentheses, which may have any bytes in it. utime and stime are the 14th and 15th.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * time.Second / userHz
}

// cpuOfChildren returns what the living children of a process have taken.
func cpuOfChildren(pid int) (sum time.Duration) {
	for _, child := range childrenOf(pid) {
		sum += cpuOf(child)
	}
	return sum
}

// childrenOf returns the living children of a process; none where there is no /proc.
func childrenOf(pid int) (list []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, thread := range threads {
		children, _ := os.ReadFile(thread)
		for _, child := range bytes.Fields(children) {
			if pid, err := strconv.Atoi(string(child)); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list
}
