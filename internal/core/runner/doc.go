// SPDX-License-Identifier: Apache-2.0

// Package runner is the trusted process around a core: it draws the core's
// entropy, keeps its sealer, does its public-key work, reads the clock, and
// speaks to the host through a stream.
//
// It guarantees that nothing which the host sends is ever entropy, a key or a
// job's result: the host's frames become requests, durability and stored
// records, and each of these the core checks or counts on no more than its own package says. After a
// broken invariant it does nothing more, says Fatal, and keeps the core's memory until the host is gone.
//
// It trusts the machine, the sealer and the core. It refuses frames that come at the wrong moment.
//
// Concurrency: one goroutine, loop, owns the core. It alone calls Step, and it never
// blocks on anything but the next event: a reader and a writer move frames, workers run jobs, a keeper
// talks to the sealer, and each has a channel to and from the loop.
package runner
