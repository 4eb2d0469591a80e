// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/settings"
)

type vaultStatusCmd struct {
	Config []string `default:"node.toml" placeholder:"FILE" help:"The node's file (node.toml). More than one: all of them, a line each."`
	JSON   bool     `name:"json" help:"Print JSON, a line for each node."`
	Watch  bool     `help:"Print it again every second."`
}

func (c *vaultStatusCmd) Run(a *app) error {
	var clients []*operator.Client
	for _, path := range c.Config {
		n, err := settings.ReadNode(path)
		if err != nil {
			return err
		}
		clients = append(clients, operator.NewClient(n.Dir))
	}
	if !c.Watch {
		return c.show(a, clients)
	}
	for tick := time.NewTicker(time.Second); ; {
		if isTerminal(a.out) {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J") // home, and clear
		}
		if err := c.show(a, clients); err != nil && a.ctx.Err() == nil {
			fmt.Fprintf(a.out, "%v\n", err) // it may come back
		}
		select {
		case <-tick.C:
		case <-a.ctx.Done():
			return nil
		}
	}
}

// show asks every node. One that does not answer leaves the others' lines as they are.
func (c *vaultStatusCmd) show(a *app, clients []*operator.Client) error {
	var list []operator.Status
	var failed error
	for _, client := range clients {
		s, err := client.Status(a.ctx)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		list = append(list, s)
	}
	if c.JSON {
		return errors.Join(writeJSON(a.out, list), failed)
	}
	if len(list) > 0 {
		return errors.Join(writeStatus(a.out, list, time.Now()), failed)
	}
	return failed
}

func writeJSON(w io.Writer, list []operator.Status) error {
	for _, s := range list {
		if err := json.NewEncoder(w).Encode(s); err != nil {
			return err
		}
	}
	return nil
}
