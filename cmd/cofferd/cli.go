// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/coffer-backup/coffer/internal/settings"
)

// cli is the grammar.
type cli struct {
	Dev     devCmd     `cmd:"" help:"Start a vault, a gateway and a token issuer for development, on this machine only."`
	Vault   vaultCmd   `cmd:"" help:"Make, join, run and look after a node of a vault."`
	Gateway gatewayCmd `cmd:"" help:"Run a gateway: what clients connect to."`
	Load    loadCmd    `cmd:"" help:"Measure a vault: operations a second, and how long they take."`
	Version versionCmd `cmd:"" help:"Print the version."`
	Help    helpCmd    `cmd:"" help:"Explain a command."`

	Core coreCmd `cmd:"" hidden:"" help:"Serve one core to the process that started this one."`
}

// app is one run of the program.
type app struct {
	ctx      context.Context
	parser   *kong.Kong
	in       *os.File
	out, err io.Writer
}

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, out, err io.Writer) int {
	a := &app{ctx: ctx, in: os.Stdin, out: out, err: err}
	a.parser = kong.Must(new(cli),
		kong.Name("cofferd"),
		kong.Description("Cofferd is the vault that keeps backup keys behind a password and a few guesses.\n\n"+exitCodeText()),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Writers(out, err),
		kong.Vars{"core": settings.DefaultCore()},
	)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, parseErr := a.parser.Parse(args)
	if parseErr != nil {
		return a.finish(usageError{parseErr})
	}
	return a.finish(command.Run(a))
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	version := "(unknown version)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(a.out, "cofferd", version)
	return err
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"A command."`
}

func (c *helpCmd) Run(a *app) error {
	// The parser prints the help of a command and exits.
	if _, err := a.parser.Parse(append(c.Command, "--help")); err != nil {
		return usagef("there is no command %q", strings.Join(c.Command, " "))
	}
	return nil
}
