// SPDX-License-Identifier: Apache-2.0

package vault

import "context"

// admin is an operator's command as the stream has it.
type admin struct {
	command   uint8
	slot      Slot
	partition uint16
	all       bool
}

const (
	invite   = 1
	remove   = 2
	transfer = 3
)

func (v *Vault) command(context.Context, admin) ([]byte, error) { return nil, ErrUnavailable }

func (v *Vault) leads() int {
	s := v.Status()
	return s.Leads()
}

// Status returns what is known at this moment, of the core at most a second ago.
func (v *Vault) Status() Status {
	s := v.replica.Stats()
	return Status{Accounts: s.Accounts, Epoch: s.Epoch, DiskBytes: v.replica.DiskBytes()}
}

// Join makes a node of a fleet that exists, with a ticket that one of its nodes has made.
func Join(ctx context.Context, config Config, ticket string) error {
	if _, err := parseTicket(ticket); err != nil {
		return err
	}
	return ErrUnavailable
}
