// SPDX-License-Identifier: Apache-2.0

// Package operator is how an operator's commands reach a running node: HTTP with JSON over a Unix
// socket in the node's folder.
//
// It guarantees that whoever may not enter the folder cannot reach the socket, and that a socket which a killed
// node left is replaced. It trusts the folder's owner, who may add and remove nodes; no command reads or changes
// anything of an account. It refuses requests that are larger than any command.
package operator

import (
	"context"
	"errors"

	"github.com/coffer-backup/coffer/vault"
)

// ErrNotRunning means that no node answers in the folder.
var ErrNotRunning = errors.New("the node is not running")

// Node is a running node, as vault.Vault is one.
type Node interface {
	Status() vault.Status
	Invite(ctx context.Context, slot vault.Slot) (ticket string, err error)
	Remove(ctx context.Context, slot vault.Slot) error
	Transfer(ctx context.Context, t vault.Transfer) error
	Drain(ctx context.Context) error
}

// Status is a node's, and which process it is.
type Status struct {
	PID int `json:"pid"`
	vault.Status
}

type slotBody struct {
	Slot vault.Slot `json:"slot"`
}

type ticketBody struct {
	Ticket string `json:"ticket"`
}

type errorBody struct {
	Error string `json:"error"`
}

const (
	maxRequest = 4 << 10
	maxAnswer  = 4 << 20 // 256 partitions and every slot
)
