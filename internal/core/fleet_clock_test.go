// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// TestFollowersClock: a host that sets its clock forward while its core follows wins nothing when it leads, however long it waited.
func TestFollowersClock(t *testing.T) {
	f := newFleet(t, 3, nil)
	l := f.leader(0)
	ahead := f.hosts[l.slot%3+1]
	ahead.now += 30 * 24 * 3600_000
	f.pass(300_000)
	if told := f.admin(Admin{Command: AdminTransfer, Slot: ahead.slot}); told.Refusal != "" {
		t.Fatal(told.Refusal)
	}
	f.until("it leads", func() bool { return f.leader(0) == ahead })
	for range 100 {
		f.pass(100)
		if now := ahead.c.parts[0].now; now > l.now {
			t.Fatalf("the vault's clock is %d ms ahead", now-l.now)
		}
	}
	if now := ahead.c.parts[0].now; now+wire.UnixMs(clockEntryMs)+1000 < l.now {
		t.Fatalf("the vault's clock is %d ms behind", l.now-now)
	}
}
