// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"

	"github.com/coffer-backup/coffer/wire"
)

// relearn finds out which registration keeps the key of this device: it may not know of one when it was set up with the digits, and another
// device of the account may have set the password anew.
func (d *Device) relearn(ctx context.Context, c Config) error {
	client, s, err := d.client()
	if err != nil {
		return err
	}
	descriptor, err := s.descriptor()
	if err != nil {
		return err
	}
	key, err := d.o.Keys.Load(keyName(c))
	if err != nil {
		return err
	}
	defer key.Wipe()
	raw := rawKey(&key)
	defer clear(raw[:])
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	var found *registration
	for _, r := range status.Registrations {
		if r.State != wire.StateLive {
			continue
		}
		// To confirm one that is live changes nothing, and only its key can.
		if _, err := client.Confirm(ctx, r.ID, &raw, nil); err == nil {
			found = &registration{ID: ID(r.ID), Manage: s.manageHash(descriptor, &key)}
		} else if !notOurs(err) {
			return err
		}
	}
	return d.updateVault(func(s *vaultState) {
		if found == nil || s.Registration == nil || s.Registration.ID != found.ID {
			s.Registration, s.Told = found, Freshness{}
		}
	})
}
