// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"testing"
)

func TestEveryCodeHasItsText(t *testing.T) {
	seen := map[string]Code{}
	for c := Code(1); c < codeEnd; c++ {
		text := c.String()
		if text == "" || seen[text] != 0 {
			t.Errorf("code %d has the text %q, as code %d has", c, text, seen[text])
		}
		seen[text] = c
		if got := Refuse(c).Error(); got != "vault: "+text {
			t.Errorf("code %d is refused with %q", c, got)
		}
	}
	for _, c := range []Code{0, codeEnd, 0xffff} {
		if c.String() != fmt.Sprintf("code %d", uint16(c)) {
			t.Errorf("code %d has the text %q", uint16(c), c)
		}
	}
}

func TestRefusalsCompareByCode(t *testing.T) {
	err := fmt.Errorf("asked: %w", &Error{CodeLocked, 1, 2, 3})
	if !errors.Is(err, Refuse(CodeLocked)) || errors.Is(err, Refuse(CodeProof)) || errors.Is(err, ErrMalformed) {
		t.Error("refusals do not compare by their code")
	}
}

func TestNumbersHaveNames(t *testing.T) {
	names := map[string]bool{}
	for _, name := range []fmt.Stringer{
		StatePending, StateLive, StateRetained, StateExhausted, StateDestroyed,
		RestartMajority, RestartCounter, RestartTrustDisk, EdDSA, ES256,
	} {
		if names[name.String()] || name.String() == "unknown" {
			t.Errorf("%q", name)
		}
		names[name.String()] = true
	}
	for _, name := range []fmt.Stringer{State(0), State(6), Restart(0), Restart(4), Algorithm(0), Algorithm(3)} {
		if name.String() != "unknown" {
			t.Errorf("%q", name)
		}
	}
}
