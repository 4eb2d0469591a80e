// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"

	"github.com/coffer-backup/coffer/vault"
)

// coreCmd is one life of a core, started by a host and connected to it. It ends when the host goes away.
type coreCmd struct {
	Seal          string `required:"" placeholder:"DIR" help:"The folder of the sealer's keys."`
	Sealer        string `default:"{}" help:"What the keys are of, as JSON."`
	RotateEntries uint64 `help:"Log entries between two snapshots."`
	RotateMs      uint64 `help:"Milliseconds between two snapshots."`
}

func (c *coreCmd) Run(a *app) error {
	if err := hideMemory(); err != nil {
		return fmt.Errorf("this process cannot keep its memory to itself: %w", err)
	}
	conn, err := vault.CoreConn()
	if err != nil {
		return usagef("a core is started by its host, which connects it: %w", err)
	}
	sealer, err := vault.ParseSeal(c.Sealer)
	if err != nil {
		return usageError{err}
	}
	return vault.ServeCore(a.ctx, conn, vault.CoreConfig{
		SealDir: c.Seal, Seal: sealer, RotateEntries: c.RotateEntries, RotateMs: c.RotateMs, Logger: newLogger(a.err, slog.LevelInfo),
	})
}
