// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/vault"
)

// vaultCmd is about one node of a vault.
type vaultCmd struct {
	Create   vaultCreateCmd   `cmd:"" help:"Make a new fleet, with this node as its first."`
	Join     vaultJoinCmd     `cmd:"" help:"Make this node one of a fleet that exists, with a ticket."`
	Run      vaultRunCmd      `cmd:"" help:"Run this node."`
	Status   vaultStatusCmd   `cmd:"" help:"Show the fleet as this node sees it: leaders, terms, lag, incarnations."`
	Ticket   vaultTicketCmd   `cmd:"" help:"Make a ticket, good once and for a day, with which a node joins."`
	Remove   vaultRemoveCmd   `cmd:"" help:"Take a node out of the fleet."`
	Transfer vaultTransferCmd `cmd:"" help:"Hand leadership to another node."`
	Drain    vaultDrainCmd    `cmd:"" help:"Hand every leadership away, before maintenance."`
	Config   vaultConfigCmd   `cmd:"" help:"Print an example of the configuration file, with comments."`
}

func (vaultCmd) Help() string {
	return "A node is a folder and a file that describes it; see `cofferd vault config`. All but config, create, join and run speak to the running node " +
		"through a socket in its folder, and need no rights but its owner's.\n\n" +
		"Examples:\n\n    cofferd vault config > node.toml\n    cofferd vault create && cofferd vault run\n" +
		"    cofferd vault ticket --slot 2 | ssh node-2 cofferd vault join    then run it there"
}

// nodeFlag names the file of a node.
type nodeFlag struct {
	Config string `default:"node.toml" placeholder:"FILE" help:"The node's file (node.toml)."`
}

func (f nodeFlag) read() (*settings.Node, error) { return settings.ReadNode(f.Config) }

// vaultConfig says how a node lives. It may ask for a PIN.
func (a *app) vaultConfig(n *settings.Node, log *slog.Logger) (vault.Config, error) {
	config := vault.Config{Dir: n.Dir, Listen: n.Listen, Advertise: n.Advertise, RotateMs: n.RotateMs(), Logger: log}
	for _, g := range n.Gateways {
		config.Gateways = append(config.Gateways, vault.Fingerprint(g))
	}
	if n.Core == settings.CoreProcess {
		program, err := os.Executable()
		if err != nil {
			return config, err
		}
		config.Command = []string{program, "core"}
	}
	var err error
	config.Seal, err = a.sealOf(n)
	return config, err
}

// sealOf says what seals. It asks for a PIN where no file has it.
func (a *app) sealOf(n *settings.Node) (vault.Seal, error) {
	s := vault.Seal{Kind: seal.Tier(n.Seal), Device: n.TPM2.Device, PCRs: n.TPM2.PCRs, AuthFile: n.TPM2.AuthFile, OwnerAuthFile: n.TPM2.OwnerAuthFile,
		Module: n.PKCS11.Module, Token: n.PKCS11.Token, Serial: n.PKCS11.Serial, PINFile: n.PKCS11.PINFile}
	if err := s.Check(); err != nil || s.Kind != seal.PKCS11 || s.PINFile != "" {
		return s, err
	}
	pin, err := a.askPIN(s.Token)
	s.PIN = pin
	return s, err
}

type vaultConfigCmd struct{}

func (vaultConfigCmd) Run(a *app) error {
	_, err := io.WriteString(a.out, settings.NodeExample)
	return err
}

type vaultCreateCmd struct{ nodeFlag }

func (vaultCreateCmd) Help() string {
	return "What the file says under [fleet] becomes the fleet's policy, which stays, and which clients see. With restart = \"majority\" the fleet serves " +
		"nobody until three nodes are voters."
}

func (c *vaultCreateCmd) Run(a *app) error {
	n, err := c.read()
	if err != nil {
		return err
	}
	policy, err := n.Fleet.Policy()
	if err != nil {
		return err
	}
	config, err := a.vaultConfig(n, newLogger(a.err, slog.LevelWarn))
	if err != nil {
		return err
	}
	if err := vault.Create(a.ctx, config, policy); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "A new fleet is in %s, with this node in slot 1.\nStart it:  cofferd vault run --config %s\n", n.Dir, c.Config)
	return err
}

type vaultJoinCmd struct {
	nodeFlag
	Ticket  string        `default:"-" placeholder:"FILE" help:"The file with the ticket; - is standard input. It is a secret, so it is no argument."`
	Timeout time.Duration `default:"2m" placeholder:"TIME" help:"Give up after this (2m)."`
}

func (vaultJoinCmd) Help() string {
	return "The ticket comes from `cofferd vault ticket` at a node of the fleet, some of which must run now. The node has its place in the fleet when this ends."
}

func (c *vaultJoinCmd) Run(a *app) error {
	n, err := c.read()
	if err != nil {
		return err
	}
	ticket, err := a.readTicket(c.Ticket)
	if err != nil {
		return err
	}
	config, err := a.vaultConfig(n, newLogger(a.err, slog.LevelWarn))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, c.Timeout)
	defer cancel()
	switch err := vault.Join(ctx, config, ticket); {
	case errors.Is(err, vault.ErrNoTicket), errors.Is(err, vault.ErrBadTicket):
		return usageError{err}
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the fleet has not taken this node in within %v: either the ticket was used already, or is older than a day, or this machine cannot reach the "+
			"nodes that run; a ticket that was not used can be tried again", c.Timeout)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(a.out, "This node has joined the fleet.\nStart it:  cofferd vault run --config %s\n", c.Config)
	return err
}

const maxTicketText = 64 << 10 // bytes

func (a *app) readTicket(path string) (string, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, maxTicketText))
		return string(text), err
	}
	if isTerminal(a.in) {
		return a.ask("Paste the ticket: ")
	}
	text, err := io.ReadAll(io.LimitReader(a.in, maxTicketText))
	return string(text), err
}
