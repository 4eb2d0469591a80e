// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/vault"
)

// writeStatus shows what nodes say of themselves, a line each, and what the first says of its fleet.
func writeStatus(w io.Writer, list []operator.Status, now time.Time) error {
	first := &list[0]
	var text bytes.Buffer
	fmt.Fprintf(&text, "fleet        %s\nfingerprint  %s\nrestart      %s\n\n", orUnknown(first.Fleet), orUnknown(first.Fingerprint), restartText(first))
	table(&text, "SLOT\tSTATE\tINCARNATION\tLEADS\tBEHIND\tACCOUNTS\tEPOCH\tDISK\tPID", func(row func(...any)) {
		for i := range list {
			s := &list[i]
			row(s.Slot, state(s), s.Incarnation, fmt.Sprintf("%d of %d", s.Leads(), len(s.Partitions)), s.Behind(), s.Accounts, s.Epoch, megabytes(s.DiskBytes), s.PID)
		}
	})
	if len(list) == 1 {
		fmt.Fprintf(&text, "\naddress      %s\ncertificate  %s\n", orUnknown(first.Address), orUnknown(first.Certificate))
	}
	writeCare(&text, list)
	if len(first.Peers) > 0 {
		fmt.Fprintf(&text, "\nThe other nodes, as slot %d sees them:\n\n", first.Slot)
		table(&text, "SLOT\tADDRESS\tCONNECTED\tHEARD", func(row func(...any)) {
			for _, p := range first.Peers {
				row(p.Slot, p.Address, yesNo(p.Connected), ago(p.Heard, now))
			}
		})
	}
	fmt.Fprintf(&text, "\nPartitions, as slot %d sees them:\n\n", first.Slot)
	table(&text, "PARTITION\tROLE\tLEADER\tTERM\tAPPLIED\tCOMMITTED\tLAG\tVOTERS\tLEARNERS", func(row func(...any)) {
		for _, g := range condense(first.Partitions) {
			row(g.name, g.Role, slotText(g.Leader), g.Term, g.Applied, g.Committed, g.Lag, slots(g.Voters), slots(g.Learners))
		}
	})
	_, err := w.Write(text.Bytes())
	return err
}

// writeCare shows what somebody should look at: a sealer that fails, and where what was destroyed is not gone yet.
func writeCare(w io.Writer, list []operator.Status) {
	for i := range list {
		if s := list[i].Sealer; s.For > 0 {
			fmt.Fprintf(w, "\nsealer       slot %d: %s has FAILED for %v: %s\n", list[i].Slot, s.Tier, seconds(s.For), s.Error)
		}
	}
	e := &list[0].Erasure
	late := e.Stragglers()
	if len(late) == 0 {
		if e.Within > 0 {
			fmt.Fprintf(w, "\nerasure      in time: what is destroyed is gone at every node within %v\n", seconds(e.Within))
		}
		return
	}
	fmt.Fprintf(w, "\nerasure      LATE: who has the disk and the sealer of one of these can still read what was destroyed\n")
	for _, n := range late {
		fmt.Fprintf(w, "             slot %d: for %v\n", n.Slot, seconds(n.Ms))
	}
}

func seconds(ms uint64) time.Duration {
	return (time.Duration(ms) * time.Millisecond).Round(time.Second)
}

func table(w io.Writer, head string, rows func(row func(...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	t.Flush() // to memory
}

// group is partitions that look alike, with the largest of their figures.
type group struct {
	name string
	vault.Partition
}

const manyPartitions = 16 // more do not fit on a screen

// condense puts partitions together whose members, leader and role are the same, where there are many.
func condense(partitions []vault.Partition) (groups []group) {
	if len(partitions) <= manyPartitions {
		for _, p := range partitions {
			groups = append(groups, group{fmt.Sprint(p.Number), p})
		}
		return groups
	}
	numbers := map[int][]uint16{}
	for _, p := range partitions {
		i := slices.IndexFunc(groups, func(g group) bool { return alike(g.Partition, p) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{"", p})
		}
		g := &groups[i]
		g.Term, g.Applied, g.Committed, g.Lag = max(g.Term, p.Term), max(g.Applied, p.Applied), max(g.Committed, p.Committed), max(g.Lag, p.Lag)
		numbers[i] = append(numbers[i], p.Number)
	}
	for i := range groups {
		groups[i].name = ranges(numbers[i])
	}
	return groups
}

func alike(a, b vault.Partition) bool {
	return a.Role == b.Role && a.Leader == b.Leader && slices.Equal(a.Voters, b.Voters) && slices.Equal(a.Learners, b.Learners)
}

// ranges names ascending numbers, and counts them where that would be long: "0-3,7", or "52: 0,5,10,...".
func ranges(numbers []uint16) string {
	const enough = 3
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := fmt.Sprint(numbers[i])
		if end > i {
			part += fmt.Sprintf("-%d", numbers[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	if len(parts) <= enough {
		return strings.Join(parts, ",")
	}
	return fmt.Sprintf("%d: %s,...", len(numbers), strings.Join(parts[:enough], ","))
}

func restartText(s *operator.Status) string {
	if s.Founding {
		return s.Restart + "; founding: it serves nobody until three nodes are voters"
	}
	return orUnknown(s.Restart)
}

func state(s *operator.Status) string {
	if s.Serving {
		return "serving"
	}
	return "not serving"
}

func slotText(s vault.Slot) string {
	if s == 0 {
		return "none"
	}
	return fmt.Sprint(s)
}

func slots(list []vault.Slot) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = fmt.Sprint(s)
	}
	return cmp.Or(strings.Join(texts, ","), "-")
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(100*time.Millisecond).String() + " ago"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orUnknown(s string) string { return cmp.Or(s, "not known yet") }

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
