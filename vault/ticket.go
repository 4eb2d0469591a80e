// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// ticketPrefix makes a ticket recognisable, also for those who search logs for secrets.
const ticketPrefix = "coffer-ticket-1-"

// What can be wrong with a ticket's text.
var (
	ErrNoTicket  = errors.New("vault: this is no join ticket: one begins with " + ticketPrefix)
	ErrBadTicket = errors.New("vault: the join ticket was mistyped or cut short: copy it again, whole")
)

const (
	maxTicket      = 8 << 10 // bytes
	ticketChecksum = 4       // bytes; against mistyping alone: the cores authenticate the rest
)

func formatTicket(ticket []byte) string {
	return ticketPrefix + base64.RawURLEncoding.EncodeToString(append(ticket[:len(ticket):len(ticket)], checksum(ticket)...))
}

// parseTicket takes a ticket with the blanks and line breaks that it got on its way.
func parseTicket(text string) ([]byte, error) {
	const longest = 2 * maxTicket // characters, in base64 and broken into lines
	if len(text) > longest {
		return nil, ErrBadTicket
	}
	encoded, ok := strings.CutPrefix(strings.Join(strings.Fields(text), ""), ticketPrefix)
	if !ok {
		return nil, ErrNoTicket
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) <= ticketChecksum || len(raw) > maxTicket+ticketChecksum {
		return nil, ErrBadTicket
	}
	ticket, sum := raw[:len(raw)-ticketChecksum], raw[len(raw)-ticketChecksum:]
	if string(checksum(ticket)) != string(sum) {
		return nil, ErrBadTicket
	}
	return ticket, nil
}

func checksum(ticket []byte) []byte {
	sum := sha256.Sum256(append([]byte(ticketPrefix), ticket...))
	return sum[:ticketChecksum]
}
