// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// view is what a core says of itself.
type view struct {
	slot        core.Slot
	incarnation [8]byte
	serving     bool
	parts       []partView
}

type partView struct {
	partition        wire.Partition
	leads            bool
	leader           core.Slot
	term             uint64
	applied          uint64
	voters, learners []core.Slot
}

func viewOf(c *core.Core) view {
	s := c.Stats()
	v := view{slot: s.Slot, incarnation: s.Incarnation, serving: s.Serving && s.Founded}
	for _, p := range s.Partitions {
		v.parts = append(v.parts, partView{
			p.Partition, p.Role == core.RoleLeader, p.Leader, p.Term, p.Applied, p.Voters, p.Learners,
		})
		v.serving = v.serving && p.Role >= core.RoleFollower
	}
	return v
}

// load starts a core from a disk.
func load(config core.Config, d *disk, s *sealer, info []byte) (*core.Core, []core.Effect, error) {
	l := core.NewLoader(config, s.unseal)
	for _, r := range d.records() {
		if err := l.Add(r); err != nil {
			return nil, nil, err
		}
	}
	return l.Finish(info)
}
