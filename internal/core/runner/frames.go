// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
)

func persistFrame(p core.Persist) stream.Persist {
	f := stream.Persist{Seq: p.Seq}
	for _, r := range p.Puts {
		f.Puts = append(f.Puts, stream.Record(r))
	}
	for _, r := range p.Deletes {
		f.Deletes = append(f.Deletes, stream.Range(r))
	}
	return f
}

func peersFrame(p core.Peers) (f stream.Peers) {
	for _, m := range p.Members {
		f.Members = append(f.Members, stream.Member{Slot: uint16(m.Slot), Host: m.Host})
	}
	return f
}

func statsFrame(s core.Stats, sealer stream.Sealer) stream.Stats {
	f := stream.Stats{Slot: uint16(s.Slot), Incarnation: s.Incarnation, Accounts: s.Accounts, Epoch: s.Epoch, Serving: s.Serving, Founded: s.Founded,
		Sealer: sealer, Unerased: s.Unerased, ErasedWithin: s.ErasedWithin}
	for _, o := range s.Others {
		f.Others = append(f.Others, stream.Unerased{Slot: uint16(o.Slot), Ms: o.Ms})
	}
	for _, p := range s.Partitions {
		f.Partitions = append(f.Partitions, stream.Partition{
			Role: uint8(p.Role), Leader: uint16(p.Leader),
			Term: p.Term, Applied: p.Applied, Committed: p.Committed, LogEntries: p.LogEntries, Lag: p.Lag,
			Voters: numbers(p.Voters), Learners: numbers(p.Learners),
		})
	}
	return f
}

func numbers(slots []core.Slot) (n []uint16) {
	for _, s := range slots {
		n = append(n, uint16(s))
	}
	return n
}
