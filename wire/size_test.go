// SPDX-License-Identifier: Apache-2.0

package wire

import "testing"

// longestRequests gives each request at its greatest length, with a token of n bytes.
func longestRequests(n int) (all []*Request) {
	secret := ManageSecret(manage)
	for _, body := range []Body{
		&Status{}, &RegisterStart{}, &RegisterFinish{Ticket: make([]byte, MaxTicketSize)}, &RegisterConfirm{}, &RegisterConfirm{Replaces: &secret},
		&RecoverStart{}, &RecoverFinish{}, &Delete{}, &Delete{Proof: &secret}, &PutFreshness{},
	} {
		all = append(all, &Request{string(make([]byte, n)), body})
	}
	return all
}

func longestAnswers() []Body {
	return []Body{
		&Error{Code: 1}, &RegisterStarted{Ticket: make([]byte, MaxTicketSize)}, &RegisterFinished{}, &RegisterConfirmed{},
		&RecoverStarted{}, &RecoverFinished{Freshness: make([]Freshness, MaxFreshness)}, &Deleted{}, &FreshnessPut{},
	}
}

func longestStatus(registrations, archives int) *StatusAnswer {
	a := &StatusAnswer{Registrations: make([]RegistrationStatus, registrations)}
	for i := range a.Registrations {
		a.Registrations[i] = RegistrationStatus{State: StateLive, Freshness: make([]Freshness, archives)}
	}
	return a
}

// The size of a request tells nothing about which one it is, for tokens as they are in use; docs/spec/wire.md has the figures.
func TestRequestSizes(t *testing.T) {
	_, d := aFleet(t, specFleet, specSeed)
	for _, c := range []struct{ token, least, most int }{
		{0, 3195, 3195}, {600, 3195, 3195}, {1505, 3195, 3195}, {1506, 3195, 5243}, {2044, 3195, 5243}, {2045, 5243, 5243},
		{3553, 5243, 5243}, {3554, 5243, 7291}, {4092, 5243, 7291}, {4093, 7291, 7291}, {4096, 7291, 7291},
	} {
		least, most := MaxEnvelope+1, 0
		for _, request := range longestRequests(c.token) {
			envelope, _, err := d.Seal(specAlice, request)
			if err != nil {
				t.Fatal(err)
			}
			least, most = min(least, len(envelope)), max(most, len(envelope))
		}
		if least != c.least || most != c.most || most > MaxEnvelope {
			t.Errorf("with a token of %d bytes requests are sealed to %d to %d bytes, not %d to %d", c.token, least, most, c.least, c.most)
		}
	}
}

func TestAnswerSizes(t *testing.T) {
	_, _, sealer := exchange(t, &Request{specToken, &Status{}})
	size := func(answer Body, want int) {
		if got := len(sealer.Seal([32]byte{}, answer)); got != want || got > MaxEnvelope {
			t.Errorf("%T is sealed to %d bytes, not %d", answer, got, want)
		}
	}
	for _, answer := range longestAnswers() {
		size(answer, 1074)
	}
	size(longestStatus(0, 0), 1074)
	size(longestStatus(MaxRegistrations, 0), 1074)
	size(longestStatus(MaxRegistrations, 1), 2098)
	size(longestStatus(3, MaxFreshness), 1074)
	size(longestStatus(4, MaxFreshness), 2098)
	size(longestStatus(MaxRegistrations, MaxFreshness), 4146)
}
