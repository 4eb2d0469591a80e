// SPDX-License-Identifier: Apache-2.0

package core

import "crypto/sha256"

// Digest is a hash over all accounts, for tests and comparisons of replicas.
func (c *Core) Digest() [32]byte {
	h := sha256.New()
	for _, p := range c.parts {
		for n := range p.ledger.list {
			for _, a := range p.ledger.list[n].accounts {
				h.Write(a.id[:])
				h.Write([]byte(a.encoded))
			}
		}
	}
	return [32]byte(h.Sum(nil))
}
