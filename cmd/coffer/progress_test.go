// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

var meterStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestMeter(t *testing.T) {
	var m meter
	for _, step := range []struct {
		after time.Duration
		r     reading
		want  string
	}{
		{0, reading{}, "starting"},
		{0, reading{phase: "listing", doneFiles: 1200}, "listing, 1,200 files"},
		{0, reading{phase: "storing", totalBytes: 1_000_000_000}, "storing, 0%, 0 B of 1.00 GB"},
		{time.Second, reading{phase: "storing", doneBytes: 100_000_000, totalBytes: 1_000_000_000}, "storing, 10%, 100 MB of 1.00 GB, 100 MB/s, 9 s left"},
		{2 * time.Second, reading{phase: "storing", doneBytes: 200_000_000, totalBytes: 1_000_000_000}, "storing, 20%, 200 MB of 1.00 GB, 100 MB/s, 8 s left"},
		// What comes next is on its way.
		{4 * time.Second, reading{phase: "storing", doneBytes: 200_000_000, totalBytes: 1_000_000_000}, "storing, 20%, 200 MB of 1.00 GB, 100 MB/s, 6 s left"},
		// The destination hangs: what was before says nothing any more.
		{8 * time.Second, reading{phase: "storing", doneBytes: 200_000_000, totalBytes: 1_000_000_000}, "storing, 20%, 200 MB of 1.00 GB"},
		{14 * time.Second, reading{phase: "storing", doneBytes: 200_000_000, totalBytes: 1_000_000_000}, "storing, 20%, 200 MB of 1.00 GB, nothing new for 12 s"},
		{302 * time.Second, reading{phase: "storing", doneBytes: 200_000_000, totalBytes: 1_000_000_000}, "storing, 20%, 200 MB of 1.00 GB, nothing new for 5 min"},
		// It goes on, at another rate.
		{310 * time.Second, reading{phase: "storing", doneBytes: 210_000_000, totalBytes: 1_000_000_000}, "storing, 21%, 210 MB of 1.00 GB"},
		{320 * time.Second, reading{phase: "storing", doneBytes: 220_000_000, totalBytes: 1_000_000_000}, "storing, 22%, 220 MB of 1.00 GB, 1.00 MB/s, 13 min left"},
		// A file is read again, because it changed meanwhile.
		{321 * time.Second, reading{phase: "storing", doneBytes: 215_000_000, totalBytes: 1_000_000_000}, "storing, 21%, 215 MB of 1.00 GB"},
		{322 * time.Second, reading{phase: "storing", doneBytes: -5, totalBytes: 1_000_000_000}, "storing, 0%, 0 B of 1.00 GB"},
		// More than was announced, as when a file has grown.
		{323 * time.Second, reading{phase: "storing", doneBytes: 1_100_000_000, totalBytes: 1_000_000_000}, "storing, 100%, 1.00 GB of 1.00 GB, 1.10 GB/s"},
		// A new phase begins at nothing.
		{324 * time.Second, reading{phase: "checking", doneFiles: 3, totalFiles: 10}, "checking, 3 of 10 files"},
	} {
		if got := m.line(meterStart.Add(step.after), step.r); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

// A part of a transfer: packs of one size come evenly, so many together.
type stretch struct {
	packs, together int64
	packBytes       int64
	every           time.Duration // between those that come together; a stretch without packs is a pause
}

func (s stretch) rate() float64 { return float64(s.together*s.packBytes) / s.every.Seconds() }

// Whatever a transfer goes through, the rate that is shown is that of the stretch that it is in, or none.
func TestRateIsTrue(t *testing.T) {
	const pack = 16 << 20
	fast := stretch{packs: 3000, together: 1, packBytes: 1 << 20, every: 2 * time.Millisecond} // read and found to be there
	slow := stretch{packs: 30, together: 1, packBytes: pack, every: 8 * time.Second}
	pairs := stretch{packs: 30, together: 2, packBytes: pack, every: 20 * time.Second}
	crawl := stretch{packs: 12, together: 2, packBytes: pack, every: 5 * time.Minute}
	hang := stretch{every: 7 * time.Minute}
	for name, transfer := range map[string][]stretch{
		"fast":                {fast},
		"slow":                {slow},
		"two at a time":       {pairs},
		"crawling":            {crawl},
		"hangs, and goes on":  {slow, hang, slow},
		"hangs twice":         {pairs, hang, hang, pairs},
		"resumed":             {fast, slow},
		"resumed, crawling":   {fast, crawl},
		"slower, then faster": {slow, pairs, crawl, slow, fast},
		"resumed, and hangs":  {fast, hang, slow},
	} {
		for _, tick := range []time.Duration{redraw, reprint} {
			shown := followTransfer(t, name, transfer, tick)
			if total := shown.with + shown.without; tick == redraw && len(transfer) == 1 && shown.with < total/2 {
				t.Errorf("%s: there was a rate in %d of %d lines", name, shown.with, total)
			}
		}
	}
}

type linesShown struct{ with, without int }

// settle is how many groups of packs a new stretch may take until it is told from the one before.
const settle = rateSteps + 1

func followTransfer(t *testing.T, name string, transfer []stretch, tick time.Duration) (shown linesShown) {
	t.Helper()
	var m meter
	var done int64
	now, next := meterStart, meterStart
	for _, s := range transfer {
		groups := int64(1)
		if s.packs > 0 {
			groups = s.packs / s.together
		}
		begin := next
		for group := range groups {
			next = begin.Add(time.Duration(group+1) * s.every)
			for ; now.Before(next); now = now.Add(tick) {
				rate, quiet := m.rate(now, reading{phase: "backing up", doneBytes: done, totalBytes: 1 << 50})
				if rate == 0 {
					shown.without++
					continue
				}
				shown.with++
				settled := group >= settle && now.Sub(begin) > 2*rateSpan && now.Sub(begin) > settle*tick
				if s.packs == 0 && quiet > 3*20*time.Second {
					t.Errorf("%s: %.0f B/s are shown after %v without a byte", name, rate, quiet)
				}
				if s.packs > 0 && settled && (rate < s.rate()/2 || rate > s.rate()*2) {
					t.Fatalf("%s, a look every %v: %.0f B/s are shown %v into a stretch of %.0f", name, tick, rate, now.Sub(begin), s.rate())
				}
			}
			done += s.together * s.packBytes
		}
	}
	return shown
}
