// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"fmt"
	"strings"

	"github.com/coffer-backup/coffer/wire"
)

// Status returns what the vault keeps for the account. It uses no guess; a companion device may ask, too.
func (c *Client) Status(ctx context.Context) (*wire.StatusAnswer, error) {
	var lost bool
	status, err := ask[*wire.StatusAnswer](ctx, c, &wire.Status{}, &lost)
	return status, explain(err)
}

// Delete deletes a registration: with its K at once; with nil, by the login alone, it stays recoverable for
// its grace period, which the answer tells.
func (c *Client) Delete(ctx context.Context, id wire.RegistrationID, k *[32]byte) (wire.Deleted, error) {
	request := &wire.Delete{Registration: id}
	if k != nil {
		proof := c.manage(k)
		defer clear(proof[:])
		request.Proof = &proof
	}
	var lost bool
	deleted, err := ask[*wire.Deleted](ctx, c, request, &lost)
	if lost && refusedWith(err, wire.CodeNoRegistration) {
		return wire.Deleted{}, nil // an earlier try deleted it
	}
	if err != nil {
		return wire.Deleted{}, explain(err)
	}
	return *deleted, nil
}

// PutFreshness tells the vault the newest state of an archive. It can be repeated and never goes back.
func (c *Client) PutFreshness(ctx context.Context, id wire.RegistrationID, k *[32]byte, f wire.Freshness) error {
	request := &wire.PutFreshness{Registration: id, Manage: c.manage(k), Freshness: f}
	defer clear(request.Manage[:])
	var lost bool
	_, err := ask[*wire.FreshnessPut](ctx, c, request, &lost)
	return explain(err)
}

// Choose returns the registration to recover from: the live one, or with previous the newest that is
// retained for its grace period. It asks nobody.
func Choose(status *wire.StatusAnswer, previous bool) (*wire.RegistrationStatus, error) {
	newest := map[wire.State]*wire.RegistrationStatus{}
	for i := range status.Registrations {
		r := &status.Registrations[i]
		if have := newest[r.State]; have == nil || r.CreatedAt > have.CreatedAt {
			newest[r.State] = r
		}
	}
	live, retained := newest[wire.StateLive], newest[wire.StateRetained]
	switch {
	case previous && retained != nil:
		return retained, nil
	case previous:
		return nil, noGuess(fmt.Errorf("%w (there is no previous registration)", ErrNoRegistration))
	case live != nil:
		return live, nil
	}
	err := ErrNoRegistration
	if newest[wire.StateExhausted] != nil {
		err = ErrExhausted
	} else if newest[wire.StateDestroyed] != nil {
		err = ErrDestroyed
	}
	if retained != nil {
		err = fmt.Errorf("%w. A previous registration is still there", err)
	}
	return nil, noGuess(err)
}

// Pin decodes a fleet descriptor and compares its fingerprint with the one that the user or the app got on another way than from
// the gateway. Case and spaces do not matter.
func Pin(raw []byte, fingerprint string) (*wire.Descriptor, error) {
	descriptor, err := wire.ParseDescriptor(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: its descriptor: %w", ErrProtocol, err)
	}
	if shown := descriptor.Fingerprint(); digits(shown) != digits(fingerprint) {
		return nil, fmt.Errorf("%w; its fingerprint is %s", ErrFleetChanged, shown)
	}
	return descriptor, nil
}

func digits(fingerprint string) string {
	return strings.ToLower(strings.Join(strings.Fields(fingerprint), ""))
}
