// SPDX-License-Identifier: Apache-2.0

// Package stream is the contract between a core's trusted runner and its untrusted
// host: frames over an ordered stream of bytes. Whether the core runs in the host's
// process (Pipe) or behind a Unix socket, the bytes and the code are the same.
//
//	frame  = u32 length of what follows, 1..MaxFrame | u8 type | payload
//	vector = u32 length | bytes
//
// All integers are big-endian. One life of a core is one connection:
//
//	host                                core
//	Create | Load* LoadEnd    ──────▶
//	                          ◀──────   Persist*, Hello once it can serve
//	Request, Durable          ──────▶
//	                          ◀──────   Answer, Persist, Stats
//	Stop                      ──────▶
//	                          ◀──────   Persist*, Bye
//
// It guarantees that every frame has one encoding (what decodes encodes identically),
// that a length from the other side is checked before memory is taken for it, and
// that bytes handed out by Read are never written again.
//
// It trusts nobody: each side reads what the other may have made up. It keeps no
// secret either; whatever the core puts into a frame it has sealed before, for the
// host reads all of it. It refuses frames that are malformed or too large, not frames
// that come at the wrong moment: the order is for each side to judge.
package stream
