// SPDX-License-Identifier: Apache-2.0

// Command cofferd runs a Backup Key Vault: its nodes, its gateways, and a whole one for development.
//
// It guarantees that what it answered survives kill -9 and the loss of power, that accounts
// and secrets come into no log, and that `dev`
// is reached from this machine only, and a node's operator by its folder's owner only. It trusts root,
// and the owner of its folder: a vault whose keys are sealed in software hides nothing from them, and says so at each start. It refuses a folder
// that another process uses, and a policy other than the one that a vault was made with.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal ends the work in an orderly way. From then on signals act as
	// usual, so that a second one kills a process that hangs.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
