// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/vault"
)

func TestStatusTable(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := operator.Status{PID: 4242, Status: vault.Status{
		Fleet: "0102", Fingerprint: "abcd", Restart: "majority", Founding: true, Slot: 2, Incarnation: "feed", Address: "127.0.0.1:7434", Certificate: "c0de",
		Accounts: 7, Epoch: 3, DiskBytes: 1_500_000,
		Sealer:  vault.Sealer{Tier: "tpm2", For: 61_000, Error: "the TPM does not answer"},
		Erasure: vault.Erasure{Within: 60_000, Nodes: []vault.Unerased{{Slot: 2}, {Slot: 1, Ms: 60_000}, {Slot: 3, Ms: 7_200_000}}},
		Partitions: []vault.Partition{
			{Number: 0, Role: vault.RoleLeader, Leader: 2, Term: 5, Applied: 99, Committed: 100, Lag: 4, Voters: []vault.Slot{1, 2}, Learners: []vault.Slot{3}},
			{Number: 1, Role: vault.RoleNone},
		},
		Peers: []vault.Peer{
			{Slot: 1, Address: "127.0.0.1:1", Connected: true, Heard: now.Add(-1500 * time.Millisecond)}, {Slot: 3, Address: "127.0.0.1:3"},
		},
	}}
	const want = `fleet        0102
fingerprint  abcd
restart      majority; founding: it serves nobody until three nodes are voters

SLOT  STATE        INCARNATION  LEADS   BEHIND  ACCOUNTS  EPOCH  DISK    PID
2     not serving  feed         1 of 2  4       7         3      1.5 MB  4242

address      127.0.0.1:7434
certificate  c0de

sealer       slot 2: tpm2 has FAILED for 1m1s: the TPM does not answer

erasure      LATE: who has the disk and the sealer of one of these can still read what was destroyed
             slot 3: for 2h0m0s

The other nodes, as slot 2 sees them:

SLOT  ADDRESS      CONNECTED  HEARD
1     127.0.0.1:1  yes        1.5s ago
3     127.0.0.1:3  no         never

Partitions, as slot 2 sees them:

PARTITION  ROLE    LEADER  TERM  APPLIED  COMMITTED  LAG  VOTERS  LEARNERS
0          leader  2       5     99       100        4    1,2     3
1          none    none    0     0        0          0    -       -
`
	var got strings.Builder
	if err := writeStatus(&got, []operator.Status{s}, now); err != nil || got.String() != want {
		t.Errorf("%v:\n%s\nnot\n%s", err, got.String(), want)
	}
}

// TestCondense: many partitions become a line for each leader.
func TestCondense(t *testing.T) {
	var list []vault.Partition
	for n := range uint16(256) {
		p := vault.Partition{Number: n, Leader: vault.Slot(n%3 + 1), Role: vault.RoleFollower, Term: uint64(n), Voters: []vault.Slot{1, 2, 3}}
		if n < 40 {
			p.Leader = 1
		}
		list = append(list, p)
	}
	groups := condense(list)
	if len(groups) != 3 || groups[0].name != "112: 0-39,42,45,..." || groups[0].Term != 255 || groups[0].Leader != 1 {
		t.Errorf("%d groups: %+v", len(groups), groups[0])
	}
	if groups := condense(list[:manyPartitions]); len(groups) != manyPartitions || groups[15].name != "15" {
		t.Errorf("%+v", groups)
	}
	for want, numbers := range map[string][]uint16{"": nil, "7": {7}, "0-3": {0, 1, 2, 3}, "0,2,4-5": {0, 2, 4, 5}, "4: 0,2,4,...": {0, 2, 4, 6}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %s", numbers, got)
		}
	}
}
