// SPDX-License-Identifier: Apache-2.0

// Package wire holds what a client and a vault's core say to each other: the
// messages, their one encoding, how they are sealed end to end, and every
// domain-separation string of the vault. docs/spec/wire.md describes it to the byte.
//
// It guarantees that what decodes encodes to the same bytes again; that every
// length is bounded before memory is taken for it; that who does not hold the
// fleet's HPKE key can neither read nor make a sealed answer. It trusts the caller to
// pin the right fleet descriptor. It refuses unknown versions, unknown
// messages, and bytes left over.
package wire
