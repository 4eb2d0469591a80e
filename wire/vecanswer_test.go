// SPDX-License-Identifier: Apache-2.0

package wire

// specStatus is one registration of a status.
func specStatus(state byte, freshness ...[]byte) []byte {
	return cat(id, []byte{state, 10, 9}, be64(1_700_000_000_000), be64(1_700_000_060_000), be64(0), []byte{byte(len(freshness))}, cat(freshness...))
}

func specStatusAnswer(n byte, registrations ...[]byte) []byte {
	return cat([]byte{1}, be64(1_700_000_030_000), be64(7), be64(1_700_000_000_500), []byte{n}, cat(registrations...))
}

func specError(code uint16) []byte {
	return cat([]byte{0}, be16(code), be64(60_000), []byte{6}, be64(7))
}

func statusOf(state State, freshness ...Freshness) RegistrationStatus {
	return RegistrationStatus{RegistrationID(id), state, 10, 9, 1_700_000_000_000, 1_700_000_060_000, 0, freshness}
}

func statusAnswer(registrations ...RegistrationStatus) *StatusAnswer {
	return &StatusAnswer{1_700_000_030_000, 7, 1_700_000_000_500, registrations}
}

func answerVectors() []*vector {
	s := vectorSet{base: map[string]string{"kind": "answer"}}
	s.good("error", "a refusal", &Error{CodeLocked, 60_000, 6, 7}, specError(11))
	s.good("error-first", "the first code", &Error{CodeMalformed, 60_000, 6, 7}, specError(1))
	s.good("error-last", "the last code", &Error{CodeParameters, 60_000, 6, 7}, specError(22))
	s.good("status-none", "an account without a registration", &StatusAnswer{Now: 5}, cat([]byte{1}, be64(5), be64(0), be64(0), []byte{0}))
	s.good("status", "a registration in each state", statusAnswer(statusOf(1), statusOf(2), statusOf(3), statusOf(4), statusOf(5)),
		specStatusAnswer(5, specStatus(1), specStatus(2), specStatus(3), specStatus(4), specStatus(5)))
	most := statusOf(2, freshValue, freshValue, freshValue, freshValue)
	mostBytes := specStatus(2, freshBytes, freshBytes, freshBytes, freshBytes)
	s.good("status-most", "12 registrations with 4 archives each", statusAnswer(most, most, most, most, most, most, most, most, most, most, most, most),
		specStatusAnswer(12, repeat(mostBytes, 12)))
	response := long("response", 64)
	s.good("register-start", "the evaluation and the ticket", &RegisterStarted{RegistrationID(id), [64]byte(response), ticket}, cat([]byte{2}, id, response, vec(ticket)))
	s.good("register-finish", "stored", &RegisterFinished{3_600_000}, cat([]byte{3}, be64(3_600_000)))
	s.good("register-confirm", "live", &RegisterConfirmed{1, 2_592_000_000}, cat([]byte{4, 1}, be64(2_592_000_000)))
	ke2, delivered := long("KE2", 320), long("delivered", 64)
	started := cat([]byte{5}, ke2, ksfBytes, []byte{9}, be64(60_000), []byte{1})
	s.good("recover-start", "a guess is counted", &RecoverStarted{[320]byte(ke2), ksfValue, 9, 60_000, true}, started)
	finished := cat([]byte{6}, delivered, []byte{10, 1}, freshBytes)
	s.good("recover-finish", "the guess was right", &RecoverFinished{[64]byte(delivered), 10, []Freshness{freshValue}}, finished)
	s.good("delete", "deleted", &Deleted{2_592_000_000}, cat([]byte{7}, be64(2_592_000_000)))
	s.good("put-freshness", "remembered", &FreshnessPut{}, []byte{8})

	s.malformed("empty", "nothing", nil)
	s.malformed("kind-9", "an unknown kind", []byte{9})
	s.malformed("code-0", "a refusal without a code", specError(0))
	s.malformed("code-23", "a refusal with an unknown code", specError(23))
	s.malformed("code-wide", "a refusal whose code is a known one in its low byte alone", specError(256+11))
	s.malformed("state-0", "a registration without a state", specStatusAnswer(1, specStatus(0)))
	s.malformed("state-6", "a registration in an unknown state", specStatusAnswer(1, specStatus(6)))
	s.malformed("registrations-13", "13 registrations", specStatusAnswer(13, repeat(specStatus(2), 13)))
	s.malformed("registrations-fewer", "a registration is missing", specStatusAnswer(2, specStatus(2)))
	s.malformed("registrations-more", "a registration is left over", specStatusAnswer(1, specStatus(2), specStatus(2)))
	s.malformed("status-archives-5", "5 archives of one registration", specStatusAnswer(1, specStatus(2, freshBytes, freshBytes, freshBytes, freshBytes, freshBytes)))
	s.malformed("recover-archives-5", "5 archives", cat([]byte{6}, delivered, []byte{10, 5}, repeat(freshBytes, 5)))
	s.malformed("ticket-257", "a ticket of 257 bytes", cat([]byte{2}, id, response, vec(long("ticket", 257))))
	s.malformed("bool", "neither 0 nor 1 says whether the guess is a repeated one", with(started, -1, 2))
	s.malformed("cut", "the last byte is missing", finished[:len(finished)-1])
	s.malformed("more", "a byte is left over", cat(finished, []byte{0}))
	return s.all
}

func repeat(b []byte, n int) (all []byte) {
	for range n {
		all = append(all, b...)
	}
	return all
}
