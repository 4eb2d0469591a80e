// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"time"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// The names in the tokens. They are part of a vault's policy, which outlives the address that it is reached at.
const (
	issuerName      = "https://issuer.coffer.invalid/dev"
	coreAudience    = "https://vault.coffer.invalid/core"
	gatewayAudience = "https://vault.coffer.invalid/gateway"
)

// policyFlags are what a vault's maker may choose. Nil, or empty, is the default, or what the vault was made with.
type policyFlags struct {
	Restart    string         `enum:",majority,counter,trust-disk" default:"" placeholder:"POLICY" help:"How a replica's restart is treated: trust-disk; majority, which needs three replicas and cannot be stopped as a whole; counter, which can be stopped in order (trust-disk)."`
	Partitions *uint16        `placeholder:"N" help:"Partitions, each with its own leader (1)."`
	Budget     *uint8         `placeholder:"N" help:"Wrong guesses before a key is destroyed (10)."`
	Cooldown   *time.Duration `placeholder:"TIME" help:"The wait after the fourth wrong guess; each next one is four times as long (1m)."`
	Grace      *time.Duration `placeholder:"TIME" help:"How long a key that was replaced without proof can still be recovered (720h)."`
	Provable   *time.Duration `placeholder:"TIME" help:"How long the last guess can still be proven right, before the key is destroyed (10m)."`
}

// check refuses what no vault can be made with, before anything is made.
func (f *policyFlags) check() error {
	for name, d := range map[string]*time.Duration{"cooldown": f.Cooldown, "grace": f.Grace, "provable": f.Provable} {
		if d != nil && *d < 0 {
			return usagef("--%s cannot be negative", name)
		}
	}
	placeholder := []token.Key{{ID: "any", Algorithm: token.EdDSA, Public: make([]byte, 32)}}
	if err := f.policy(placeholder).Check(); err != nil {
		return usageError{err}
	}
	return nil
}

func (f *policyFlags) applyTo(p *wire.Policy) {
	if r, err := settings.ParseRestart(f.Restart); err == nil { // the parser of flags lets no other name through
		p.Restart = r
	}
	if f.Partitions != nil {
		p.Partitions = *f.Partitions
	}
	if f.Budget != nil {
		p.Budget = *f.Budget
	}
	if f.Cooldown != nil {
		p.CooldownMs = uint64(f.Cooldown.Milliseconds())
	}
	if f.Grace != nil {
		p.GraceMs = uint64(f.Grace.Milliseconds())
	}
	if f.Provable != nil {
		p.ProvableMs = uint64(f.Provable.Milliseconds())
	}
}

// policy is that of a new vault. By default replicas on one machine trust their disk, so that all of them can be stopped and started.
func (f *policyFlags) policy(keys []token.Key) *wire.Policy {
	p := wire.DefaultPolicy()
	p.Restart = wire.RestartTrustDisk
	trust(&p, keys)
	f.applyTo(&p)
	return &p
}

// trust pins the issuer.
func trust(p *wire.Policy, keys []token.Key) {
	p.Issuer, p.CoreAudience, p.GatewayAudience = issuerName, coreAudience, gatewayAudience
	p.TokenKeys = settings.PolicyKeys(keys)
}

// agree refuses to serve a vault as something that it is not: its policy was fixed when it was made.
func (f *policyFlags) agree(made wire.Policy, keys []token.Key) error {
	wanted, trusted := made, made
	f.applyTo(&wanted)
	if !bytes.Equal(wanted.Append(nil), made.Append(nil)) {
		return usagef("the vault in this folder was made with --budget %d --cooldown %s --grace %s --provable %s --restart %s --partitions %d, and keeps that: "+
			"leave these out, or take another --dir",
			made.Budget, milliseconds(made.CooldownMs), milliseconds(made.GraceMs), milliseconds(made.ProvableMs), made.Restart, made.Partitions)
	}
	trust(&trusted, keys)
	if !bytes.Equal(trusted.Append(nil), made.Append(nil)) {
		return errors.New("the vault in this folder trusts another issuer than the one beside it: bring the folder issuer back as it was, or take another --dir")
	}
	return nil
}

func milliseconds(ms uint64) time.Duration { return time.Duration(ms) * time.Millisecond }
