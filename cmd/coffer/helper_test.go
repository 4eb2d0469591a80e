// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coffer-backup/coffer/blob/folder"
	"github.com/coffer-backup/coffer/blob/helper"
	"github.com/rogpeppe/go-internal/testscript"
)

// helperMain stands for coffer-rclone in script tests: it speaks the same protocol, and its one remote, disk, is this
// machine's. That rclone itself works is for the tests of coffer-rclone.
func helperMain() {
	remote := os.Args[len(os.Args)-1]
	path, ok := strings.CutPrefix(remote, "disk:")
	if !ok || os.Args[1] != "serve" {
		fmt.Fprintf(os.Stderr, "didn't find the section of %q in config file\n", remote)
		os.Exit(1)
	}
	open := folder.Open
	if slices.Contains(os.Args, "--create") {
		open = folder.Create
	}
	ctx := context.Background()
	store, err := open(path)
	if err != nil {
		err = helper.Refuse(ctx, err, os.Stdin, os.Stdout)
	} else {
		err = helper.Serve(ctx, store, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// alone DIR puts coffer into a folder of its own, without the helper.
func alone(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("coffer")
	ts.Check(err)
	text, err := os.ReadFile(program)
	ts.Check(err)
	ts.Check(os.Mkdir(ts.MkAbs(args[0]), 0o700))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), filepath.Base(program)), text, 0o700))
}
