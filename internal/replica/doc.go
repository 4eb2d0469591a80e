// SPDX-License-Identifier: Apache-2.0

// Package replica is the untrusted host of one core: it keeps the core's sealed
// records in Pebble, brings clients' sealed requests to the core, and starts the core
// again when its process died.
//
// It guarantees, to the operator, that nothing is acknowledged before it is durable:
// a core hears Durable only after a synchronous write, so an honest host that is
// killed at any moment loses no guess that was counted and no registration that was
// confirmed. Every Persist is applied whole or not at all, in the order in which it
// was sent.
//
// It trusts the core for nothing but its order of frames, and the disk to keep what
// was synced. Nobody has to trust it: it sees sealed bytes, their sizes and times.
// What a host gains that lies about its disk is the subject of the core (INV-COMMIT,
// INV-INCARNATION), not of this package.
//
// It refuses to go on in doubt. After the first error of the disk no write is tried
// again, because a failed fsync may have dropped what it was asked to keep; the core
// is cut off and Run returns. After a Fatal from the core it starts no other, because
// the one that stopped still holds, in memory, what the others could learn from it.
package replica
