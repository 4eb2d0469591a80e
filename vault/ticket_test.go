// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestTicket(t *testing.T) {
	for _, size := range []int{1, 2, 3, 100, maxTicket} {
		ticket := bytes.Repeat([]byte{0xa7}, size)
		text := formatTicket(ticket)
		for _, sent := range []string{text, "  " + text + "\r\n", text[:20] + "\n  " + text[20:]} {
			if got, err := parseTicket(sent); err != nil || !bytes.Equal(got, ticket) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

func TestTicketMistyped(t *testing.T) {
	text := formatTicket([]byte("a ticket that somebody types"))
	for i := len(ticketPrefix); i < len(text); i++ {
		wrong := []byte(text)
		if wrong[i]++; wrong[i] == '[' || wrong[i] == '{' || wrong[i] == ':' {
			wrong[i] = '0'
		}
		if _, err := parseTicket(string(wrong)); !errors.Is(err, ErrBadTicket) {
			t.Errorf("character %d mistyped: %v", i, err)
		}
		if _, err := parseTicket(text[:i]); !errors.Is(err, ErrBadTicket) {
			t.Errorf("cut to %d characters: %v", i, err)
		}
	}
	for text, want := range map[string]error{
		"": ErrNoTicket, "coffer-ticket-2-AAAAAAAA": ErrNoTicket, "hello": ErrNoTicket,
		ticketPrefix: ErrBadTicket, strings.Repeat("a", 1<<20): ErrBadTicket,
		formatTicket(make([]byte, maxTicket+1)): ErrBadTicket,
	} {
		if _, err := parseTicket(text); !errors.Is(err, want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
