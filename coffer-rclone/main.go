// SPDX-License-Identifier: Apache-2.0

// Command coffer-rclone lets Coffer keep archives wherever rclone can: it serves package blob/helper's protocol on
// its standard input and output, and reaches a remote of the user's own rclone configuration.
//
// It guarantees that rclone's code, its hundred libraries and the provider's session stay in a process that never
// holds a key: what goes through it is sealed. It trusts rclone and its configuration as the user does who wrote it. It
// refuses a remote that can show half an object, and a secret among its arguments, which other users can read.
//
// Coffer starts it; README.md says how to set a remote up.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/coffer-backup/coffer/blob/helper"
)

const usage = `usage: coffer-rclone serve [--create] REMOTE:PATH   serve an archive's destination on standard input and output
       coffer-rclone version`

func main() {
	create, args := false, os.Args[1:]
	if len(args) == 3 && args[1] == "--create" {
		create, args = true, []string{args[0], args[2]}
	}
	var err error
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Printf("coffer-rclone: rclone %s, helper's protocol %d\n", rcloneVersion(), helper.Version)
	case len(args) == 2 && args[0] == "serve":
		err = serve(args[1], create)
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coffer-rclone:", scrub(err.Error()))
		os.Exit(1)
	}
}

// rcloneVersion is that of the module: rclone's own idea is set where rclone itself is built.
func rcloneVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/rclone/rclone" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func serve(remote string, create bool) error {
	in, out, err := takePipes()
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := setUp(ctx, remote, create)
	if err != nil {
		return helper.Refuse(ctx, err, in, out)
	}
	return helper.Serve(ctx, store, in, out)
}

// takePipes keeps the protocol's pipes from everything else in this process: rclone hands standard input on to the commands that
// it starts, and a line that some library prints would end the protocol.
func takePipes() (in, out *os.File, err error) {
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	in, out = os.Stdin, os.Stdout
	os.Stdin, os.Stdout = nothing, os.Stderr
	return in, out, nil
}

func setUp(ctx context.Context, remote string, create bool) (*Store, error) {
	if err := configure(ctx); err != nil {
		return nil, err
	}
	return open(ctx, remote, create)
}
