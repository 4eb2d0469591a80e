// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// incarnationCheck checks that no two cores lead one partition in one term, and INV-INCARNATION.
type incarnationCheck struct {
	leaders map[reign]string
	lost    bool // the majority that knew the state is gone: the fleet needs not serve any more
}

type reign struct {
	partition wire.Partition
	term      uint64
}

func newIncarnationCheck() *incarnationCheck {
	return &incarnationCheck{leaders: map[reign]string{}}
}

// saw takes notice of what a core, the host's so-manieth, says of itself.
func (c *incarnationCheck) saw(start int, host string, v view) error {
	who := fmt.Sprint(host, "/", start)
	for _, p := range v.parts {
		if !p.leads || p.term == 0 {
			continue
		}
		at := reign{p.partition, p.term}
		if other := c.leaders[at]; other != "" && other != who {
			return fmt.Errorf("two cores lead partition %d in term %d: %s and %s", p.partition, p.term, other, who)
		}
		c.leaders[at] = who
	}
	return nil
}
