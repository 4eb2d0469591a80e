// SPDX-License-Identifier: Apache-2.0

// Package recovery is the client's side of the vault protocol: it puts a
// backup key K into a vault under a password, and gets it back with that
// password on a device that has nothing else but a login.
//
// It guarantees that K and the password never leave the device in a form that
// anybody, the vault included, can read or test without a counted guess; that a
// lost answer costs no second guess, because the same guess is repeated; and
// that "wrong password" and "destroyed" are said only on the word of the pinned
// fleet's core.
//
// It trusts the fleet descriptor that the caller pins and the fleet behind it to count guesses; the
// transport, the gateway and the token issuer may lie, delay and drop, which denies
// service and no more; nothing that they write is shown as the vault's word. It refuses to register under another server
// key than the pinned one, which the record then binds every recovery to, forbidden group elements, and Argon2id
// parameters out of bounds before it takes memory for them.
package recovery
