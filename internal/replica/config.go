// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// What a request can be told. None of them says whether the core has seen it: after
// ErrUnavailable it may have.
var (
	ErrUnavailable = errors.New("replica: unavailable")
	ErrBusy        = errors.New("replica: too many requests are waiting")
	ErrTooLarge    = errors.New("replica: request too large")
)

// What the operator can be told.
var (
	ErrExists     = errors.New("replica: there is a fleet already")
	ErrNotCreated = errors.New("replica: there is no fleet; create one (also after a create that was interrupted)")
	ErrLocked     = errors.New("replica: the store is locked, by another process or an earlier failure in this one")
	ErrStore      = errors.New("replica: the store failed")
	ErrCoreFatal  = errors.New("replica: the core stopped itself")
	ErrRefused    = errors.New("replica: the core refuses")
	ErrProtocol   = errors.New("replica: the core broke the protocol of its stream")
)

// defaultQueueLimit bounds the memory for requests at 64 MiB of envelopes.
const defaultQueueLimit = 4096

// Config says where one replica lives and how its core is reached.
type Config struct {
	// Dir holds the store, and nothing else. It is made if it is not there.
	Dir string

	// Start starts the core, or connects to one that was just started, and returns
	// the host's end. ctx ends when the core is to be gone: whoever started a process
	// ends it then. Start is called again after the connection broke, never before the
	// earlier ctx has ended.
	Start func(ctx context.Context) (*stream.Conn, error)

	// Host is what this host tells the others of itself, by way of the cores; at most stream.MaxHost bytes.
	Host []byte

	// Send brings bytes of the core to the host of a slot, or loses them; it must not wait. Nil: there is nobody else.
	Send func(slot uint16, data []byte)

	// Members is told who else is in the fleet, whenever that changes. Nil: nobody wants to know.
	Members func([]stream.Member)

	// Leads is told which slot leads a partition, 0 if none is known to, whenever that changes. It must not wait.
	Leads func(partition, slot uint16)

	// Stats is told the core's figures, once a second. It must not wait. Nil: nobody wants to know; see Replica.Stats.
	Stats func(stream.Stats)

	// Logger gets the life of the core and of the store; nil discards it.
	Logger *slog.Logger

	// QueueLimit is how many requests may wait, 0 for 4096; at most 32768.
	QueueLimit int

	// FS is the file system of the store, nil for the machine's own.
	FS vfs.FS

	// StopTimeout is how long a core may take from Stop to Bye, 0 for ten seconds.
	StopTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Send == nil {
		c.Send = func(uint16, []byte) {}
	}
	if c.Members == nil {
		c.Members = func([]stream.Member) {}
	}
	if c.Leads == nil {
		c.Leads = func(uint16, uint16) {}
	}
	if c.Stats == nil {
		c.Stats = func(stream.Stats) {}
	}
	if c.QueueLimit == 0 {
		c.QueueLimit = defaultQueueLimit
	}
	c.QueueLimit = min(c.QueueLimit, maxUnread/2) // what else is for the core finds room behind them
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 10 * time.Second
	}
	return c
}
