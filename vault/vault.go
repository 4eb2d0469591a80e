// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/internal/link"
	"github.com/coffer-backup/coffer/internal/replica"
	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/wire"
)

// What a request can be told. After the first the vault may have acted on it; clients repeat it, free of charge.
var (
	ErrUnavailable = replica.ErrUnavailable
	ErrBusy        = replica.ErrBusy
	ErrTooLarge    = replica.ErrTooLarge
)

// What the operator can be told.
var (
	ErrExists     = replica.ErrExists
	ErrNotCreated = replica.ErrNotCreated
	ErrLocked     = replica.ErrLocked
	ErrStore      = replica.ErrStore     // the disk failed: nothing more is written
	ErrCoreFatal  = replica.ErrCoreFatal // the core found an invariant broken, or could not start from what is stored
	ErrProtocol   = replica.ErrProtocol

	// ErrStoreMissing means that there are keys of a fleet and no store: a new fleet would destroy them.
	ErrStoreMissing = errors.New("vault: the sealer has the keys of a fleet whose store is missing: " +
		"bring the store back, or remove the sealer's folder to give that fleet up for ever")
)

// Fingerprint is the SHA-256 of a node's or a gateway's certificate.
type Fingerprint = link.Fingerprint

// Config says where a replica lives and how it runs.
type Config struct {
	// Dir holds the store, the sealer's keys, and the node's certificate. It is made by Create or Join, for its owner only.
	Dir string

	// Command runs the core in a process of its own: a program and its arguments, to which CoreArgs's are
	// added, that calls ServeCore. Empty: the core runs in this process.
	Command []string

	// Seal is what seals the core's state; by default software, in Dir.
	Seal Seal

	// Listen is where the fleet's other nodes and the gateways connect. Port 0: one that is free, which is kept over restarts while it
	// stays free. Empty: nowhere, for a fleet of one.
	Listen string

	// Advertise is the address at which the others reach this node; empty: the one that it listens on. The fleet is told at every start.
	Advertise string

	// Gateways are the certificates of the gateways that may bring requests.
	Gateways []Fingerprint

	// RotateEntries and RotateMs say after how many log entries and milliseconds a snapshot is made under a new
	// epoch key. What was deleted is gone for ever after the next one. 0: 65,536 and 10 minutes; with a sealer in hardware, which wears, 131,072 and an hour.
	RotateEntries uint64
	RotateMs      uint64

	// Logger gets the life of the core and the store; nil discards it. It gets no account and no secret.
	Logger *slog.Logger

	late time.Duration // CoreConfig's
}

func (c *Config) storeDir() string { return filepath.Join(c.Dir, "store") }
func (c *Config) sealDir() string  { return filepath.Join(c.Dir, "seal") }

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Create makes a new fleet under a policy, with this node as its first. It refuses a folder that has one (ErrExists); one
// that failed or was killed leaves none, and can be repeated.
func Create(ctx context.Context, config Config, policy *wire.Policy) error {
	if err := policy.Check(); err != nil {
		return err
	}
	return config.begin(func(h *host, start startFunc) error {
		return replica.Create(ctx, h.replicaConfig(start), policy.Append(nil))
	})
}

// Join makes this node one of a fleet that exists, with a ticket that one of its nodes has made. It returns when the fleet has
// taken it in. Errors and repetition are as Create's; a ticket that the fleet has not taken can be used again.
func Join(ctx context.Context, config Config, ticket string) error {
	raw, err := parseTicket(ticket)
	if err != nil {
		return err
	}
	if config.Listen == "" {
		return errAlone
	}
	return config.begin(func(h *host, start startFunc) error { return h.join(ctx, start, raw) })
}

// startFunc is replica.Config.Start.
type startFunc = func(context.Context) (*stream.Conn, error)

// begin has make make a node where there is none.
func (c *Config) begin(make func(*host, startFunc) error) error {
	if err := c.Seal.Check(); err != nil {
		return err
	}
	if err := makeDir(c.Dir); err != nil {
		return err
	}
	h, err := c.openHost()
	if err != nil {
		return err
	}
	defer h.close()
	launcher := &launcher{config: *c}
	defer launcher.wait()
	err = make(h, func(ctx context.Context) (*stream.Conn, error) {
		if err := c.emptySealer(ctx); err != nil {
			return nil, err
		}
		return launcher.start(ctx)
	})
	if err != nil {
		return err
	}
	return errors.Join(c.keepPort(h.listener), c.unmark())
}

// emptySealer makes the sealer's folder. What is in one that is there already is destroyed only if the mark says that an interrupted Create
// left it: else there was a fleet, and its store is missing, perhaps on a disk that is not mounted.
func (c *Config) emptySealer(ctx context.Context) error {
	s, err := c.Seal.Create(ctx, c.sealDir())
	if errors.Is(err, fs.ErrExist) || errors.Is(err, seal.ErrInUse) { // after another error a token is not bothered again
		s, err = c.Seal.Open(ctx, c.sealDir())
	}
	if err != nil {
		return err
	}
	keys, err := s.Keys(ctx)
	switch marked, markErr := c.marked(); {
	case err != nil || markErr != nil:
		err = errors.Join(err, markErr)
	case len(keys) > 0 && !marked:
		err = fmt.Errorf("%w: %s", ErrStoreMissing, c.storeDir())
	default:
		err = c.mark()
	}
	for _, id := range keys {
		if err == nil {
			err = s.Destroy(ctx, id)
		}
	}
	return errors.Join(err, s.Close())
}

// Vault is an open replica. It is safe for concurrent use.
type Vault struct {
	replica  *replica.Replica
	host     *host
	launcher *launcher
}

// Open opens a folder that Create or Join has made. Either Run or Close must follow.
func Open(config Config) (*Vault, error) {
	if _, err := os.Stat(config.storeDir()); errors.Is(err, fs.ErrNotExist) { // before a certificate is made there
		return nil, fmt.Errorf("%w: %s", ErrNotCreated, config.Dir)
	}
	v := &Vault{launcher: &launcher{config: config}}
	var err error
	if v.host, err = config.openHost(); err != nil {
		return nil, err
	}
	if v.replica, err = replica.Open(v.host.replicaConfig(v.launcher.start)); err != nil {
		return nil, errors.Join(err, v.host.close())
	}
	// The fleet is whole; a Create that was killed after that has left its mark.
	marked, err := config.marked()
	if marked {
		err = config.unmark()
	}
	if err = errors.Join(err, config.keepPort(v.host.listener)); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Run serves until ctx ends, and then stops the core in order. It starts a core again whose process died, and
// returns the error when going on would be wrong: ErrStore, ErrCoreFatal, ErrProtocol. It may be called once.
func (v *Vault) Run(ctx context.Context) error {
	defer v.launcher.wait()
	return v.host.run(ctx, v.replica)
}

// Close releases a vault that was never Run.
func (v *Vault) Close() error { return errors.Join(v.replica.Close(), v.host.close()) }

// Ready waits until the core serves. The error is that of ctx, or ErrUnavailable when Run has returned.
func (v *Vault) Ready(ctx context.Context) error { return v.replica.Ready(ctx) }

// Handle brings a sealed request, of at most wire.MaxEnvelope bytes, to the core and returns its sealed answer. The error is
// ErrTooLarge, ErrBusy, ErrUnavailable or that of ctx.
func (v *Vault) Handle(ctx context.Context, request []byte) ([]byte, error) {
	return v.replica.Handle(ctx, request)
}

// Descriptor returns the fleet's descriptor, or ErrUnavailable while no core serves.
func (v *Vault) Descriptor(ctx context.Context) ([]byte, error) { return v.replica.Descriptor(ctx) }
