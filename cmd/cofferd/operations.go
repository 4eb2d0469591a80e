// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// What can be measured.
const (
	mixRegister = "register"
	mixRecover  = "recover"
	mixStatus   = "status"
)

var operations = map[string]func(*worker, context.Context) error{
	mixRegister: (*worker).register,
	mixRecover:  (*worker).recover,
	mixStatus:   (*worker).status,
}

func (w *worker) status(ctx context.Context) error {
	_, err := ask[*wire.StatusAnswer](ctx, w, &wire.Status{})
	return err
}

// register registers with a prepared record, so that the vault's work is measured and not the client's.
// The account's earlier registration dies, as at a change of password.
func (w *worker) register(ctx context.Context) error {
	started, err := ask[*wire.RegisterStarted](ctx, w, &wire.RegisterStart{Blinded: w.device.blinded})
	if err != nil {
		return err
	}
	return w.store(ctx, started, w.device.record)
}

// registerForReal registers so that recover succeeds.
func (w *worker) registerForReal(ctx context.Context) error {
	client, blinded, err := startRegistration()
	if err != nil {
		return err
	}
	started, err := ask[*wire.RegisterStarted](ctx, w, &wire.RegisterStart{Blinded: blinded})
	if err != nil {
		return err
	}
	record, err := w.device.finishRegistration(client, started.Response, w.id)
	if err != nil {
		return err
	}
	return w.store(ctx, started, record)
}

func (w *worker) store(ctx context.Context, started *wire.RegisterStarted, record [wire.RecordSize]byte) error {
	manage := wire.NewManageSecret(w.device.key[:], w.device.fleet.Fleet, w.id)
	_, err := ask[*wire.RegisterFinished](ctx, w, &wire.RegisterFinish{
		Ticket: started.Ticket, Record: record, Manage: manage.Hash(), KSF: wire.KSF(opaque.DefaultKSF),
	})
	if err != nil {
		return err
	}
	if _, err := ask[*wire.RegisterConfirmed](ctx, w, &wire.RegisterConfirm{Registration: started.Registration, Manage: manage}); err != nil {
		return err
	}
	w.registration = started.Registration
	return nil
}

// recover is one guess with the right password.
func (w *worker) recover(ctx context.Context) error {
	serial := w.serial + 1
	started, err := ask[*wire.RecoverStarted](ctx, w, &wire.RecoverStart{Registration: w.registration, Serial: serial, KE1: w.device.ke1})
	if err != nil {
		return err
	}
	w.serial = serial
	ke3, err := w.device.prove(started.KE2, w.id)
	if err != nil {
		return err
	}
	_, err = ask[*wire.RecoverFinished](ctx, w, &wire.RecoverFinish{Registration: w.registration, Serial: serial, KE3: ke3})
	return err
}
