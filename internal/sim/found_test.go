// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// TestFound plays schedules that once found a fault.
func TestFound(t *testing.T) {
	for name, s := range map[string]*Schedule{
		"a planned stop before the snapshot is there": {
			Seed: 24,
			Setup: Setup{Restart: wire.RestartCounter, Replicas: 3, Partitions: 2, Budget: 5, RotateEntries: 12, StepBytes: 1, DiskMs: 4, Accounts: 2,
				Network: Network{DropPercent: 8, RepeatPercent: 12, DelayMs: 14}, Gentle: true, EndMs: scheduleMs},
			Actions: []Action{{AtMs: 11205, Kind: Crash, N: 200}, {AtMs: 13742, Kind: StopAll, N: 200}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if result, lines := play(t, s, 40); result.Failure != nil {
				t.Errorf("%v\n%v", result.Failure, lines)
			}
		})
	}
}
