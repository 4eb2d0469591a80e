// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/internal/core/runner"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
)

// CoreConfig is what a core's process needs to know.
type CoreConfig struct {
	SealDir       string
	Seal          Seal
	RotateEntries uint64
	RotateMs      uint64
	Logger        *slog.Logger // nil discards

	late time.Duration // of calls to the sealer, for tests; 0: the runner's
}

// CoreArgs returns the arguments that tell a process of Config.Command its CoreConfig: no secret is among them.
func (c *CoreConfig) CoreArgs() []string {
	return []string{"--seal", c.SealDir, "--sealer", c.Seal.text(),
		"--rotate-entries", strconv.FormatUint(c.RotateEntries, 10), "--rotate-ms", strconv.FormatUint(c.RotateMs, 10)}
}

// ServeCore serves one life of a core on a connection to its host, and closes it. It returns nil after an orderly stop.
func ServeCore(ctx context.Context, conn io.ReadWriteCloser, config CoreConfig) error {
	return serveCore(ctx, stream.NewConn(conn), config)
}

func serveCore(ctx context.Context, conn *stream.Conn, config CoreConfig) error {
	sealer, err := config.Seal.Open(ctx, config.SealDir)
	if err != nil {
		return runner.Refuse(conn, err)
	}
	err = runner.Run(ctx, conn, runner.Config{
		Sealer: sealer, RotateEntries: config.RotateEntries, RotateMs: config.RotateMs, Logger: config.Logger,
		Late: config.late,
	})
	return errors.Join(err, sealer.Close())
}

func (c *Config) core() CoreConfig {
	core := CoreConfig{SealDir: c.sealDir(), Seal: c.Seal, RotateEntries: c.RotateEntries, RotateMs: c.RotateMs, Logger: c.logger(), late: c.late}
	if c.Seal.tier() != seal.Software { // else the core's own
		core.RotateEntries, core.RotateMs = cmp.Or(core.RotateEntries, hardwareEntries), cmp.Or(core.RotateMs, hardwareMs)
	}
	return core
}

// Hardware writes flash for each epoch. The log is in memory until its epoch ends, so that its length is bounded, too: this is 36 entries a second for an hour.
const (
	hardwareEntries = 1 << 17
	hardwareMs      = 60 * 60_000
)

// launcher starts cores one after the other: a sealer serves one at a time, so the next waits for the end of the last.
type launcher struct {
	config Config
	lives  sync.WaitGroup
}

// start starts a core that ends with ctx.
func (l *launcher) start(ctx context.Context) (*stream.Conn, error) {
	l.wait()
	if len(l.config.Command) > 0 {
		return l.startProcess(ctx)
	}
	host, core := stream.Pipe()
	l.lives.Go(func() {
		if err := serveCore(ctx, core, l.config.core()); err != nil && ctx.Err() == nil {
			l.config.logger().Error("the core ended", "error", err)
		}
	})
	return host, nil
}

// wait returns when every core that was started is gone.
func (l *launcher) wait() { l.lives.Wait() }

// makeDir makes the vault's folder for its owner only.
func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }
