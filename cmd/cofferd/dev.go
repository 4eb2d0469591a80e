// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/wire"
)

type devCmd struct {
	Dir       string `placeholder:"DIR" help:"Where the state is kept, for this user only. Without it: a folder of the user's own."`
	Listen    string `default:"127.0.0.1:7433" placeholder:"ADDR" help:"A loopback address; port 0 is one that is free."`
	Admin     string `placeholder:"ADDR" help:"A second loopback address, for /metrics, /healthz and /readyz."`
	ReadyFile string `placeholder:"FILE" help:"Write the URL to FILE once it serves; removed at the end."`
	Replicas  int    `placeholder:"N" help:"Replicas, each in a process and a sub-folder of its own (1, or what the folder has)."`
	Core      string `enum:"process,inprocess" default:"${core}" help:"Run the core in a process of its own, or in this one (process, inprocess)."`
	NoLimits  bool   `help:"Do not limit how often anyone may ask, for measurements."`
	Quiet     bool   `help:"Log what goes wrong, and not every request."`

	policyFlags
}

func (devCmd) Help() string {
	return "The first start makes a vault; --budget, --cooldown, --grace and --provable are for that one, and stay. A later start with the same folder " +
		"continues it, after kill -9, too.\n\nThe issuer lets everyone in as whomever they say they are, so only this machine can connect.\n\n" +
		"Examples:\n\n    cofferd dev\n    cofferd dev --dir /tmp/vault --listen 127.0.0.1:0 --ready-file /tmp/vault.url --cooldown 0s --budget 3"
}

func (c *devCmd) Run(a *app) error {
	config, err := c.config(a)
	if err != nil {
		return err
	}
	s, err := openServer(config)
	if err != nil {
		return err
	}
	if err := removeReadyFile(c.ReadyFile); err != nil { // which a killed run left, and which names an address that may be anybody's now
		s.release()
		return err
	}
	restart, err := config.restart()
	if err != nil {
		s.release()
		return err
	}
	fmt.Fprint(a.err, warning(restart))
	err = s.run(a.ctx, func(d *wire.Descriptor) error {
		if c.ReadyFile != "" {
			if err := writeReadyFile(c.ReadyFile, s.url); err != nil {
				return err
			}
		}
		return welcome(a.out, s, d)
	})
	return errors.Join(err, removeReadyFile(c.ReadyFile))
}

func (c *devCmd) config(a *app) (config serverConfig, err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = defaultDir(); err != nil {
			return config, err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return config, err
	}
	level := slog.LevelInfo
	if c.Quiet {
		level = slog.LevelWarn
	}
	replicas, err := c.replicas(dir)
	if err != nil {
		return config, err
	}
	config = serverConfig{
		dir: dir, listen: c.Listen, admin: c.Admin, replicas: replicas, policy: c.policyFlags, limits: devLimits,
		logger: newLogger(a.err, level), notice: a.err,
	}
	if c.NoLimits {
		config.limits = unlimited()
	}
	if c.Core == settings.CoreProcess {
		program, err := os.Executable()
		if err != nil {
			return config, err
		}
		config.command = []string{program, "core"}
	}
	return config, nil
}

// newLogger is a log for operators: no account and no secret comes into it.
func newLogger(to io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level}))
}
