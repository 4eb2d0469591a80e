// SPDX-License-Identifier: Apache-2.0

// Package model has two models of the vault's protocol for the checker spin, and the test that runs them: incarnation.pml, of who
// may vote and what a committed charge is worth, and guess.pml, of how guesses are counted. README.md tells what they say.
//
// It guarantees that within the models' bounds no order of steps, no replay, no lost answer and no copied disk
// breaks an invariant, and that for each rule that is left out an attack is found, on the very invariant
// that the rule is for. It trusts that the models say what the code does: nothing here runs the code, as internal/sim does.
package model
