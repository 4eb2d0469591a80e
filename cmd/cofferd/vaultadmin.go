// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/vault"
)

// The commands of this file act on a running node, and are refused when there is none.

func (f nodeFlag) client() (*operator.Client, error) {
	n, err := f.read()
	if err != nil {
		return nil, err
	}
	return operator.NewClient(n.Dir), nil
}

type vaultTicketCmd struct {
	nodeFlag
	Slot vault.Slot `placeholder:"N" help:"The slot to join in; without it the first that is free."`
	Yes  bool       `help:"Do not ask, where the slot has a node."`
}

func (vaultTicketCmd) Help() string {
	return "The ticket goes to standard output. Whoever has it can join once, within a day. A node that has the slot is replaced by the one that joins: " +
		"so a dead machine is replaced, and so is one that lost its disk."
}

func (c *vaultTicketCmd) Run(a *app) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	status, err := client.Status(a.ctx)
	if err != nil {
		return err
	}
	slot, taken := c.Slot, hasSlot(&status, c.Slot)
	if slot == 0 {
		slot = freeSlot(&status)
	}
	if taken {
		if err := a.confirm(c.Yes, fmt.Sprintf("Slot %d has a node. It leaves the fleet when another one joins with this ticket.", slot)); err != nil {
			return err
		}
	}
	ticket, err := client.Invite(a.ctx, slot)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, "A ticket for slot %d, good once and for a day. It is a secret.\n", slot)
	_, err = fmt.Fprintln(a.out, ticket)
	return err
}

func hasSlot(s *operator.Status, slot vault.Slot) bool {
	return slot != 0 && (slot == s.Slot || slices.ContainsFunc(s.Peers, func(p vault.Peer) bool { return p.Slot == slot }))
}

func freeSlot(s *operator.Status) (slot vault.Slot) {
	for slot = 1; hasSlot(s, slot); slot++ {
	}
	return slot
}

type vaultRemoveCmd struct {
	nodeFlag
	Slot vault.Slot `required:"" placeholder:"N" help:"The slot of the node."`
	Yes  bool       `help:"Do not ask."`
}

func (vaultRemoveCmd) Help() string {
	return "For a machine that does not come back, or is not to. Its copy of the data stays where it is; it has no vote any more, and cannot come back without a ticket."
}

func (c *vaultRemoveCmd) Run(a *app) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := a.confirm(c.Yes, fmt.Sprintf("The node in slot %d leaves the fleet for ever.", c.Slot)); err != nil {
		return err
	}
	if err := client.Remove(a.ctx, c.Slot); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "The node in slot %d leaves the fleet; status shows when it is gone.\n", c.Slot)
	return err
}

type vaultTransferCmd struct {
	nodeFlag
	Partition *uint16    `placeholder:"N" help:"Of this partition; without it, of every one that this node leads."`
	To        vault.Slot `placeholder:"SLOT" help:"To this node; without it, to any that is up to date."`
	Yes       bool       `help:"Do not ask."`
}

func (c *vaultTransferCmd) Run(a *app) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	t := vault.Transfer{All: c.Partition == nil, To: c.To}
	what, to := "every partition that it leads", "any node that is up to date"
	if c.Partition != nil {
		t.Partition, what = *c.Partition, fmt.Sprintf("partition %d", *c.Partition)
	}
	if c.To != 0 {
		to = fmt.Sprintf("the node in slot %d", c.To)
	}
	if err := a.confirm(c.Yes, fmt.Sprintf("This node hands leadership of %s to %s.", what, to)); err != nil {
		return err
	}
	if err := client.Transfer(a.ctx, t); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "Leadership of %s goes to %s; status shows it.\n", what, to)
	return err
}

type vaultDrainCmd struct {
	nodeFlag
	Timeout time.Duration `default:"30s" placeholder:"TIME" help:"Give up after this (30s)."`
}

func (vaultDrainCmd) Help() string {
	return "When it ends this node leads no partition, and can be stopped without a client noticing. A node that is stopped in order does this by itself, for some seconds."
}

func (c *vaultDrainCmd) Run(a *app) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, c.Timeout)
	defer cancel()
	if err := client.Drain(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, "This node leads no partition.")
	return err
}
