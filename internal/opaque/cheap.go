// SPDX-License-Identifier: Apache-2.0

package opaque

// cheap is far below what Check allows: it protects no password.
var cheap = KSF{TimeCost: 1, MemoryKiB: 8, Lanes: 1}

// FinishCheaply is Finish at next to no cost, for simulations, whose clients make thousands of registrations with passwords that are no secrets.
// Only FinishCheaply of a Login opens what is made so.
func (r *Registration) FinishCheaply(response [64]byte, ids Identities, nonce [32]byte) (record [192]byte, export [64]byte, server [32]byte, err error) {
	copy(server[:], response[32:])
	record, export, err = r.finish(response, ids.Client, ids.Server, cheap.options(), nonce)
	return record, export, server, err
}

// FinishCheaply opens the answer to a guess at a registration that was made cheaply.
func (l *Login) FinishCheaply(ke2 [320]byte, ids Identities) (ke3, sessionKey, export [64]byte, err error) {
	return l.finish(ke2, ids.Client, ids.Server, cheap.options())
}
