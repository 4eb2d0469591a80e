// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// tellTimeout bounds the wait for a vault that does not answer: the backup is done, and somebody may be watching.
const tellTimeout = time.Minute

// settleOrSay finishes what a crash interrupted, before a backup. What only the vault keeps it from is
// said, and the backup goes on.
func (d *Device) settleOrSay(ctx context.Context, c Config, acceptOlder bool) (notice string, err error) {
	err = d.settle(ctx, c, acceptOlder)
	if isSettled(err) {
		return err.Error(), nil
	}
	if _, ok := errors.AsType[unreached](err); ok {
		return fmt.Sprintf("the change of the key is pending, and waits for a destination: %v", err), nil
	}
	if _, ok := errors.AsType[vaultError](err); ok {
		return fmt.Sprintf("something that had been interrupted waits for the vault: %v", err), nil
	}
	return "", err
}

// TellVault tells the vault the newest state of this device's archive after a run inside of Exclusive has changed it, as Backup does by itself.
// The vault costs nothing where it knows that state already, or where no password is set. It returns what a person should know.
func (d *Device) TellVault(ctx context.Context, head archive.Head) (notice string) {
	c, err := d.Config()
	if err != nil {
		return ""
	}
	return d.tell(ctx, c, head)
}

// tell tells the vault the newest state of the archive, so that a new phone can refuse an older one. It returns what a
// person should know: a backup does not fail for it, and the next one tells again.
func (d *Device) tell(ctx context.Context, c Config, head archive.Head) (notice string) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if err := d.putFreshness(ctx, c, head); err != nil {
		return fmt.Sprintf("the vault could not be told of the archive's new state: %v", err)
	}
	return ""
}

func (d *Device) putFreshness(ctx context.Context, c Config, head archive.Head) error {
	s, err := d.vault()
	now := Freshness{c.Archive, head.Generation, hex.EncodeToString(head.Digest[:])}
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return nil
	case err != nil:
		return err
	case s.LoggedOut || s.Told == now:
		return nil
	}
	key, registered, err := d.toldKey(c, s)
	if err != nil {
		return err
	}
	defer key.Wipe()
	raw := rawKey(&key)
	defer clear(raw[:])
	client, _, err := d.client()
	if err != nil {
		return err
	}
	f := wire.Freshness{Archive: wire.ArchiveID(c.Archive), Generation: head.Generation, Digest: head.Digest}
	if !registered {
		err = tellAccount(ctx, client, &raw, f)
	} else if err = client.PutFreshness(ctx, wire.RegistrationID(s.Registration.ID), &raw, f); errors.Is(err, recovery.ErrNoRegistration) {
		if err := d.relearn(ctx, c); err != nil {
			return err
		}
		if s, err = d.vault(); err != nil || s.Registration == nil {
			return err
		}
		err = client.PutFreshness(ctx, wire.RegistrationID(s.Registration.ID), &raw, f)
	}
	if err != nil {
		return err
	}
	return d.updateVault(func(s *vaultState) { s.Told = now })
}

// toldKey returns the key under which the vault is told: that of the registration, or where this device has none, its own.
func (d *Device) toldKey(c Config, s *vaultState) (key Key, registered bool, err error) {
	if s.Registration != nil {
		if key, ok, err := d.registeredKey(c, s); ok || err != nil {
			return key, true, err
		}
	}
	key, err = d.o.Keys.Load(nextKeyName(c))
	if errors.Is(err, ErrNoKey) {
		key, err = d.o.Keys.Load(keyName(c))
	}
	return key, false, err
}

// openLearned opens an archive that this device remembers no head of, and checks it against what RecoverKey learned, or else what the vault tells
// a login that has the key. That serves whoever types the 64 digits, too: a vault that does not answer does not stop him, but is named.
func (d *Device) openLearned(ctx context.Context, store blob.Store, id ID, key Key, o archive.Options) (*archive.Archive, error) {
	a, err := archive.Open(ctx, store, id, key, o)
	if err != nil || o.AllowOlder || o.Seen.Generation > 0 {
		return a, err
	}
	known, err := d.learned(a.ID())
	if err == nil && known.Generation == 0 {
		var askErr error
		if known, askErr = d.askFreshness(ctx, a.ID(), &key); askErr == nil && known.Generation == 0 {
			askErr = d.showVault(ctx, a, &key)
		}
		if errors.Is(askErr, archive.ErrRolledBack) {
			err = askErr
		} else if askErr != nil {
			a.Notice(fmt.Sprintf("the vault could not be asked for the archive's newest state, so nobody knows whether this is it: %v", askErr))
		}
	}
	if err == nil && known.Generation == 0 {
		return a, nil
	}
	id, shown := a.ID(), a.Head().Generation
	a.Close()
	if err == nil && shown < known.Generation {
		err = fmt.Errorf("%w: it shows generation %d, the vault knows generation %d", archive.ErrRolledBack, shown, known.Generation)
	}
	if err != nil {
		return nil, err
	}
	o.Seen = known
	return archive.Open(ctx, store, id, key, o)
}

// learned returns what the vault knew of an archive; the zero Head if nothing.
func (d *Device) learned(id ID) (archive.Head, error) {
	s, err := d.vault()
	if errors.Is(err, ErrNotLoggedIn) {
		return archive.Head{}, nil
	} else if err != nil {
		return archive.Head{}, err
	}
	i := slices.IndexFunc(s.Freshness, func(f Freshness) bool { return f.Archive == id })
	if i < 0 {
		return archive.Head{}, nil
	}
	h := archive.Head{Generation: s.Freshness[i].Generation}
	if digest, err := hex.DecodeString(s.Freshness[i].Digest); err != nil || copy(h.Digest[:], digest) != len(h.Digest) {
		return archive.Head{}, fmt.Errorf("%w: %s holds no digest", ErrState, vaultFile)
	}
	return h, nil
}

// askFreshness asks the vault for the newest state of an archive that it was told under this key; the zero Head if it was told none, or this device
// is not logged in. It uses no guess. Only a registration that proves to keep this key counts: anybody with the account's login can make others.
func (d *Device) askFreshness(ctx context.Context, id ID, key *Key) (archive.Head, error) {
	client, _, err := d.client()
	if errors.Is(err, ErrNotLoggedIn) {
		return archive.Head{}, nil
	} else if err != nil {
		return archive.Head{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return archive.Head{}, err
	}
	raw := rawKey(key)
	defer clear(raw[:])
	var newest archive.Head
	for _, r := range status.Registrations {
		i := slices.IndexFunc(r.Freshness, func(f wire.Freshness) bool { return ID(f.Archive) == id })
		if i < 0 || r.State != wire.StateLive || r.Freshness[i].Generation <= newest.Generation {
			continue
		}
		// To confirm one that is live changes nothing, and only its key can.
		if _, err := client.Confirm(ctx, r.ID, &raw, nil); err == nil {
			newest = archive.Head{Generation: r.Freshness[i].Generation, Digest: r.Freshness[i].Digest}
		} else if !notOurs(err) {
			return archive.Head{}, err
		}
	}
	return newest, nil
}

// showVault tells the vault what a destination shows, under a key that no registration of the account keeps. The vault answers only who has the key,
// and refuses what is older than it knows: so it is both asked and told.
func (d *Device) showVault(ctx context.Context, a *archive.Archive, key *Key) error {
	head := a.Head()
	client, _, err := d.client()
	if errors.Is(err, ErrNotLoggedIn) || head.Generation == 0 {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	raw := rawKey(key)
	defer clear(raw[:])
	err = tellAccount(ctx, client, &raw, wire.Freshness{Archive: wire.ArchiveID(a.ID()), Generation: head.Generation, Digest: head.Digest})
	if errors.Is(err, recovery.ErrOldFreshness) {
		return fmt.Errorf("%w: it shows generation %d, and the vault knows a newer one, or another of that generation", archive.ErrRolledBack, head.Generation)
	}
	return err
}

// tellAccount tells the vault where this device knows of no registration of its key. A companion may not, and nobody can do anything about it: it says nothing.
func tellAccount(ctx context.Context, client *recovery.Client, key *[32]byte, f wire.Freshness) error {
	err := client.PutFreshness(ctx, wire.RegistrationID{}, key, f)
	if errors.Is(err, recovery.ErrNotPrimary) {
		return nil
	}
	return err
}

// forgetTold has the vault forget what it was told under a key that is about to be replaced and that no registration keeps: the places are few.
// Whatever keeps it from that costs such a place, and nothing else.
func (d *Device) forgetTold(ctx context.Context, c Config) {
	s, err := d.vault()
	if err != nil || s.LoggedOut || s.Registration != nil {
		return
	}
	key, err := d.o.Keys.Load(keyName(c))
	if err != nil {
		return
	}
	defer key.Wipe()
	client, _, err := d.client()
	if err != nil {
		return
	}
	raw := rawKey(&key)
	defer clear(raw[:])
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	client.Delete(ctx, wire.RegistrationID{}, &raw)
}
