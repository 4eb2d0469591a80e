// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"

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
	return view{slot: 1, serving: s.Leader, parts: []partView{{leads: s.Leader, leader: 1, applied: s.Applied, voters: []core.Slot{1}}}}
}

func create(config core.Config, policy *wire.Policy, info []byte, first core.NewEpoch) (*core.Core, []core.Effect, error) {
	return core.Create(config, policy, first)
}

func join(config core.Config, ticket, info []byte, first core.NewEpoch) (*core.Core, []core.Effect, error) {
	return nil, nil, errors.New("sim: this core cannot join")
}

// load starts a core from a disk.
func load(config core.Config, d *disk, s *sealer, info []byte) (*core.Core, []core.Effect, error) {
	l := core.NewLoader(config, s.unseal)
	for _, r := range d.records() {
		if err := l.Add(r); err != nil {
			return nil, nil, err
		}
	}
	return l.Finish()
}
