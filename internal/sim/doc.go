// SPDX-License-Identifier: Apache-2.0

// Package sim is a world of replicas around the real core, in one goroutine and in virtual time: hosts that do what a hostile host can do, a network,
// disks, sealers, and clients that speak the real protocol, a thief with a valid token among them. Checkers look on after every step.
//
// A run is a function of its Schedule and of the entropy that crypto/rand gives: who sets that, as tests do with cryptotest.SetGlobalRandom, gets the same
// run again, byte for byte, and its digest shows it. A schedule is a list of actions that one seed makes; any part of the list is a schedule, too, and so a
// failure is made smaller by leaving actions out (Shrink).
//
// What finds a fault and what makes one are kept apart. Files named check_*.go are the checkers: they trust what the core's Observe
// shows, and nothing of the world but the order in which it happens. They share with the core the types of ledger and its checkers, and no rule.
// Everything else is the world, and may be as wrong as a hostile host.
//
// It is a tool of tests: nothing that runs in production may import it.
package sim
