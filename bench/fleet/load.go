// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// outcome is what cofferd load reports.
type outcome struct {
	Operations int64   `json:"operations"`
	PerSecond  float64 `json:"per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Gap        float64 `json:"longest_gap_ms"`
	Failed     int     `json:"failed"`
}

// load puts load on a fleet. Operations that failed are in the outcome, and no error.
func (f *fleet) load(ctx context.Context, mix string, workers, accounts int, duration time.Duration) (o outcome, err error) {
	cmd := exec.CommandContext(ctx, f.program(), "load", "--json", "--url", f.url, "--mix", mix,
		"--workers", strconv.Itoa(workers), "--accounts", strconv.Itoa(max(accounts, workers)), "--duration", duration.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	failed := cmd.Run()
	if json.Unmarshal(out.Bytes(), &o) != nil {
		return o, fmt.Errorf("cofferd load --mix %s: %w: %s", mix, failed, said.Bytes())
	}
	return o, nil
}

// spent is what a load cost a fleet.
type spent struct {
	changes       uint64 // log entries; a recovery or registration is two
	syncs         uint64 // of all nodes together, as the next
	bytes, writes uint64 // to other nodes
}

// total sums the nodes' counts up to now.
func (f *fleet) total(ctx context.Context) (s spent) {
	for _, n := range f.statuses(ctx) {
		var applied uint64
		for _, p := range n.Partitions {
			applied += p.Applied
		}
		s.changes = max(s.changes, applied)
		s.syncs += n.Since.DiskSyncs
		s.bytes += n.Since.PeerBytes
		s.writes += n.Since.PeerWrites
	}
	return s
}

func (s spent) since(t spent) spent {
	return spent{s.changes - t.changes, s.syncs - t.syncs, s.bytes - t.bytes, s.writes - t.writes}
}
