// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"time"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// RemovePassword deletes the registration of this device's key from the vault, at once: from then on only the key
// opens the archive, so the user must have a durable copy of it before. With override it needs no key and deletes the account's living
// registration by the login alone; then that stays recoverable for the time returned, because a thief could do the same.
//
// Errors: ErrNotLoggedIn, ErrBusy, ErrNotEnabled and ErrNoKey if there is no key and no override, those of recovery.Client.Delete.
func (d *Device) RemovePassword(ctx context.Context, override bool) (retained time.Duration, err error) {
	unlock, err := d.lock("password")
	if err != nil {
		return 0, err
	}
	defer unlock()
	client, s, err := d.client()
	if err != nil {
		return 0, err
	}
	var proof *[32]byte
	if !override {
		raw, err := d.proof(ctx)
		if err != nil {
			return 0, err
		}
		defer clear(raw[:])
		proof = &raw
	}
	ids, err := toDelete(ctx, client, s)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		deleted, err := client.Delete(ctx, id, proof)
		if err != nil && !errors.Is(err, recovery.ErrNoRegistration) {
			return 0, err
		}
		retained = max(retained, time.Duration(deleted.RetainedMs)*time.Millisecond)
	}
	// A crash here leaves the memory of a registration that is gone; the next call finds it gone.
	return retained, d.updateVault((*vaultState).forget)
}

// proof returns the bytes of this device's key, after finishing a change of it.
func (d *Device) proof(ctx context.Context) (raw [32]byte, err error) {
	c, err := d.Config()
	if err != nil {
		return raw, err
	}
	if err := d.settle(ctx, c, false); err != nil && !isSettled(err) {
		return raw, err
	}
	key, err := d.o.Keys.Load(keyName(c))
	if err != nil {
		return raw, err
	}
	defer key.Wipe()
	return rawKey(&key), nil
}

// toDelete returns the account's living registration, and the one that this device remembers if that is another.
func toDelete(ctx context.Context, client *recovery.Client, s *vaultState) ([]wire.RegistrationID, error) {
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	var ids []wire.RegistrationID
	for _, r := range status.Registrations {
		if r.State == wire.StateLive || r.State != wire.StateDestroyed && s.Registration != nil && r.ID == wire.RegistrationID(s.Registration.ID) {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}
