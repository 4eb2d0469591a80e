// SPDX-License-Identifier: Apache-2.0

// Package ledger holds the rules of one account: which registrations it has,
// what a guess costs, what a proof gives back, and when a key is destroyed.
//
// It is pure. Apply takes an account, a committed operation, the policy and
// the vault's clock, and changes the account; the same four give the same result
// on every replica. There is no I/O, no clock, no entropy and no map in it.
//
// It guarantees INV-PENDING, INV-DESTROYED, INV-PROOF and its part of
// INV-BUDGET: a guess is charged to every registration that could be guessed at
// that moment, and a proof refills only the one that it proves. An evaluation needs a Charged, and
// only Apply makes one, so the core cannot evaluate what is not charged
// (INV-COMMIT). CheckStep and History check all this without Apply's code.
//
// It trusts its caller to apply only committed operations, in their order,
// to have checked KE3 before Prove and the role of a token before everything
// else, and never to go back in time. It refuses encodings that Append did not
// make.
package ledger
