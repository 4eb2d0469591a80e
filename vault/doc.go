// SPDX-License-Identifier: Apache-2.0

// Package vault is an embeddable replica of a Backup Key Vault: a host with its store, and
// the core that it hosts, in this process or in one of its own.
//
// It guarantees what its core guarantees (docs/ARCHITECTURE.md lists the invariants), and that a request which
// was answered survives the loss of this process or of power. With a core in a process of its own
// (Config.Command), a host that is broken into reads sealed bytes only; with the core in this process, whoever
// is in this process is in the core.
//
// It trusts the folder's owner: the sealer's keys lie in it, in software. It refuses a folder that another process
// has open, and a store that is not whole.
package vault
