// SPDX-License-Identifier: Apache-2.0

// Package format is the archive's bytes: keys, sealed objects, packs, and the encodings inside them.
//
// It does no I/O, reads no clock and starts no goroutine; it takes bytes and gives bytes. docs/spec/archive.md describes
// the same format for somebody who writes a second implementation.
//
// The key hierarchy, from the top:
//
//	backup key K                32 random bytes, known to the user only
//	└─ wrapping key             per keyring object, HKDF(K, salt of the object)
//	   └─ master keys           random, one for each epoch; a change of K adds one
//	      ├─ object key         per object, HKDF(master, salt of the object): each object has its own AES-256-GCM key
//	      ├─ content-id key     keyed BLAKE3: equal contents get equal ids, inside one archive only
//	      ├─ page-id key        keyed BLAKE3: tells a changed database page from an unchanged one
//	      └─ cut key            keyed BLAKE3 of paths: where a listing is cut into leaves
//
// It guarantees that what it opens was sealed under the same K for the same archive, type, version and position, and that
// what a decoder accepts re-encodes to the same bytes. It trusts nobody who holds the objects: every length is bounded
// before memory is taken for it, and paths that could lead out of a restore's folder are refused here, once.
package format
