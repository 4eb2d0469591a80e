// SPDX-License-Identifier: Apache-2.0

// Command coffer backs up a chat store into an encrypted archive at a
// destination, and gets it back with the 64-digit key, or with a password that a vault guards.
//
// It guarantees that a secret is never taken from an argument or the environment, and
// never printed but where the user asked to see it; that every failure has an exit code
// of its cause and a next step; that text from outside reaches a terminal only in a harmless form. It
// trusts the user and this machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/coffer-backup/coffer/sqlitecopy"
)

// copyDatabase is the hidden command that backup runs as a child process for each SQLite database.
const copyDatabase = "copy-database"

func main() {
	if len(os.Args) == 2 && os.Args[1] == copyDatabase {
		os.Exit(sqlitecopy.ChildMain(os.Stdin, os.Stdout))
	}
	limitMemory()
	// The first signal ends the work in an orderly way. From then on signals act as
	// usual, so that a second one kills a process that hangs.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// limitMemory makes the garbage collector work harder near 180 MiB, so that the resident size stays bounded
// whatever is backed up: most of the live heap is a fixed set of buffers, which the default would let
// double. GOMEMLIMIT and GOGC keep their say.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(180 << 20)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
