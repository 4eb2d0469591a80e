// SPDX-License-Identifier: Apache-2.0

// Package link connects the hosts of a fleet with each other and with gateways.
//
// It moves opaque bytes over mutual TLS 1.3. Each node and gateway has a certificate of its own, made at its first
// start, which the others pin by its SHA-256: there is no authority. What cores say to each other is
// sealed between cores, and clients' requests between client and core, so nobody has to trust this package; it keeps
// strangers from costing much.
//
// It guarantees bounds: on the size of a message, on what waits for a slow peer, on how many connections strangers hold and how much
// they may say, and that one peer that does not read holds up no other. It loses messages between cores rather than wait.
//
// Between two nodes each side dials, and sends on its own connection alone, but for answers to strangers, who
// cannot be dialled: a node that joins. A gateway dials the nodes; see Router.
package link
