// SPDX-License-Identifier: Apache-2.0

// Package vault is an embeddable replica of a Backup Key Vault: a host with its store, and
// the core that it hosts, in this process or in one of its own.
//
// Alone it is a vault of one; with Config.Listen it is a node of a fleet: Create makes the first, Invite the ticket with which
// another can Join. Nodes and gateways reach it over mutual TLS with pinned certificates; what passes is sealed
// between cores, and between clients and cores.
//
// It guarantees what its core guarantees (docs/ARCHITECTURE.md lists the invariants), and that a request which
// was answered survives the loss of this process or of power. With a core in a process of its own
// (Config.Command), a host that is broken into reads sealed bytes only; with the core in this process, whoever
// is in this process is in the core.
//
// It trusts the folder's owner: the sealer's keys lie in it, in software. It refuses a folder that another process
// has open, a ticket that was mistyped, and a store that is not whole.
package vault
