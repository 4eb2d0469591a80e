// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/internal/replica"
)

// ErrRefused is wrapped by the core's own words about why it does not do what an operator asked.
var ErrRefused = replica.ErrRefused

// The commands, by core.AdminCommand's numbers.
const (
	adminInvite   = 1
	adminRemove   = 2
	adminTransfer = 3
)

// Transfer says which leaderships are handed on, and to whom. Only what this node leads can be.
type Transfer struct {
	All       bool   `json:"all"`       // of every partition that this node leads
	Partition uint16 `json:"partition"` // else of this one
	To        Slot   `json:"to"`        // 0: any node that is up to date
}

// Invite makes a ticket, good once and for a day, with which a node joins in a slot. It is a secret. A node that has the slot
// is replaced when the new one has joined.
func (v *Vault) Invite(ctx context.Context, slot Slot) (ticket string, err error) {
	raw, err := v.replica.Admin(ctx, stream.Admin{Command: adminInvite, Slot: uint16(slot)})
	if err != nil {
		return "", err
	}
	return formatTicket(raw), nil
}

// Remove takes a slot out of the fleet. It returns when that has begun; Status shows it done.
func (v *Vault) Remove(ctx context.Context, slot Slot) error {
	_, err := v.replica.Admin(ctx, stream.Admin{Command: adminRemove, Slot: uint16(slot)})
	return err
}

// Transfer hands leadership on. It returns when that has begun; it may fail without harm, where the other node cannot be reached.
func (v *Vault) Transfer(ctx context.Context, t Transfer) error {
	_, err := v.replica.Admin(ctx, stream.Admin{Command: adminTransfer, Slot: uint16(t.To), Partition: t.Partition, All: t.All})
	return err
}

// ErrTooFew means that the nodes which this one is connected with are no majority without it, so that none could be elected.
var ErrTooFew = errors.New("vault: too few other nodes are connected to take the leaderships over")

// drainPause is how long a hand-over takes on a network that is not slow.
const drainPause = 100 * time.Millisecond

// Drain hands every leadership on, and returns when this node leads nothing. The next election may choose it again. The error is ErrTooFew
// or that of ctx.
func (v *Vault) Drain(ctx context.Context) error {
	for look := time.NewTicker(drainPause); ; {
		leads := v.host.led()
		switch {
		case leads == 0:
			return nil
		case !suffice(v.host.peers()):
			return ErrTooFew
		}
		refused := v.Transfer(ctx, Transfer{All: true})
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("vault: this node still leads %d partitions: %w", leads, errors.Join(ctx.Err(), refused))
		}
	}
}

// suffice reports whether the others that are connected are a majority without this node.
func suffice(others []Peer) bool {
	connected := 0
	for _, p := range others {
		if p.Connected {
			connected++
		}
	}
	return 2*connected > len(others)+1
}
