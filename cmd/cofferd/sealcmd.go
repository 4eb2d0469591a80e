// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
	"github.com/coffer-backup/coffer/vault"
)

type sealCmd struct {
	Check sealCheckCmd `cmd:"" help:"Run the conformance suite against the configured sealer, and measure it."`
	Suite sealSuiteCmd `cmd:"" hidden:"" help:"Run the suite in a place that is made."`
}

type sealCheckCmd struct {
	nodeFlag
	WrongPIN bool `name:"wrong-pin" help:"Try a wrong PIN or auth value, too: once, and then the right one."`
}

func (sealCheckCmd) Help() string {
	return "It makes some sixty keys in a place of their own, and destroys them; the node's own keys are not touched. Hardware wears a little with each.\n\n" +
		"With --wrong-pin the device is told a wrong PIN once, which it may count. The right one follows at once; with tokens that starts the count anew."
}

func (c *sealCheckCmd) Run(a *app) (err error) {
	n, err := c.read()
	if err != nil {
		return err
	}
	sealer, err := a.sealOf(n)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cofferd-seal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	place := filepath.Join(dir, "keys")
	s, err := sealer.Create(a.ctx, place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sealer.Remove(context.WithoutCancel(a.ctx), place)) }()
	if err := s.Close(); err != nil {
		return err
	}
	if c.WrongPIN {
		if err := checkWrongPIN(a, &sealer, place); err != nil {
			return err
		}
	}
	if err := c.suite(a, &sealer, place); err != nil {
		return fmt.Errorf("the sealer does not keep its contract, see above: %w", err)
	}
	if s, err = sealer.Open(a.ctx, place); err != nil {
		return err
	}
	return errors.Join(measureSealer(a.ctx, a.out, s), s.Close())
}

// suite runs sealSuiteCmd.
func (c *sealCheckCmd) suite(a *app, sealer *vault.Seal, place string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, pin, err := sealer.ForProcess()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(a.ctx, program, "seal", "suite", "--place", place, "--sealer", text)
	cmd.Stdout, cmd.Stderr = a.out, a.err
	if pin != nil {
		defer pin.Close()
		cmd.ExtraFiles = []*os.File{vault.PINDescriptor - 3: pin}
	}
	return cmd.Run()
}

// sealSuiteCmd runs the suite, which is made for go test, in a process of its own: it ends with it.
type sealSuiteCmd struct {
	Place  string `required:""`
	Sealer string `required:""`
}

func (c *sealSuiteCmd) Run(a *app) error {
	sealer, err := vault.ParseSeal(c.Sealer)
	if err != nil {
		return usageError{err}
	}
	testing.Init()
	if err := flag.CommandLine.Parse([]string{"-test.v"}); err != nil {
		return err
	}
	suite := func(t *testing.T) { sealtest.Run(t, openings(a.ctx, &sealer, c.Place)) }
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "seal", F: suite}}, nil, nil) // exits
	return nil
}

// openings opens the sealer in a place, again and again.
func openings(ctx context.Context, sealer *vault.Seal, place string) func(*testing.T) (seal.Sealer, func() seal.Sealer) {
	return func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		var s seal.Sealer
		reopen := func() seal.Sealer {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = sealer.Open(ctx, place); err != nil {
				t.Fatal(err)
			}
			return s
		}
		return reopen(), reopen
	}
}

// measureSealer times each operation some times.
func measureSealer(ctx context.Context, w io.Writer, s seal.Sealer) error {
	const times, secret, aad = 5, "thirty-two bytes like an epoch key", "associated data"
	took := map[string][]time.Duration{}
	timed := func(what string, do func() error) error {
		begin := time.Now()
		err := do()
		took[what] = append(took[what], time.Since(begin))
		return err
	}
	for range times {
		var id seal.KeyID
		var sealed []byte
		err := errors.Join(
			timed("new key", func() (err error) { id, err = s.NewKey(ctx); return err }),
			timed("seal", func() (err error) { sealed, err = s.Seal(ctx, id, []byte(secret), []byte(aad)); return err }),
			timed("open", func() error { _, err := s.Open(ctx, id, sealed, []byte(aad)); return err }),
			timed("destroy", func() error { return s.Destroy(ctx, id) }))
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	table(w, "OPERATION\tMEDIAN\tLONGEST", func(row func(...any)) {
		for _, what := range []string{"new key", "seal", "open", "destroy"} {
			slices.Sort(took[what])
			row(what, took[what][times/2].Round(time.Microsecond), took[what][times-1].Round(time.Microsecond))
		}
	})
	return nil
}
