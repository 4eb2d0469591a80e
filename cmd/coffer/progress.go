// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"golang.org/x/term"
)

const (
	redraw    = 200 * time.Millisecond // on a terminal
	reprint   = 10 * time.Second       // into a log
	rateSpan  = 5 * time.Second        // over which the rate is taken, or longer:
	rateSteps = 3                      // over so many steps, because what is sent in packs is done a pack at a time
	quietTime = 10 * time.Second       // after which it is said that nothing comes
)

// watch shows on standard error how far an operation is, until stop is called: one line that is redrawn on a terminal, a
// line now and then otherwise, nothing with --quiet. With --json a log is left alone too.
func (a *app) watch(verb string) (p *archive.Progress, stop func()) {
	p = new(archive.Progress)
	terminal := isTerminal(a.err)
	if a.cli.Quiet || a.cli.JSON && !terminal {
		return p, func() {}
	}
	every := reprint
	if terminal {
		every = redraw
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var m meter
		for {
			select {
			case <-done:
				if terminal {
					fmt.Fprint(a.err, "\r\x1b[K")
				}
				return
			case now := <-tick.C:
				line := verb + ": " + m.line(now, read(p))
				if terminal {
					fmt.Fprint(a.err, "\r\x1b[K"+cut(line, a.err))
				} else {
					fmt.Fprintln(a.err, line)
				}
			}
		}
	})
	return p, func() { close(done); wg.Wait() }
}

// cut shortens a line to the terminal's width, because one that wraps cannot be redrawn. Phases are plain ASCII.
func cut(line string, terminal *os.File) string {
	width, _, err := term.GetSize(int(terminal.Fd()))
	if err != nil || width < 2 || len(line) < width {
		return line
	}
	return line[:width-1]
}

// reading is one look at a Progress.
type reading struct {
	phase                                        string
	doneBytes, totalBytes, doneFiles, totalFiles int64
}

func read(p *archive.Progress) reading {
	return reading{p.Phase(), p.DoneBytes.Load(), p.TotalBytes.Load(), p.DoneFiles.Load(), p.TotalFiles.Load()}
}

// meter turns readings into lines, with the rate over the last steps of the phase.
//
// A step is a reading with more bytes than the one before. Where the way to the destination is slow a step is a pack, and comes
// every few seconds or minutes; so the rate is taken from step to step, and a pause between two of them is no news. A pause that is
// much longer than those before it is: then there is no rate, and none of before is used when it goes on. So it is after a
// run has come to the end of what an interrupted one had left at the destination, too.
type meter struct {
	phase string
	steps []step // the first is where the phase, or the time after a pause, began
}

type step struct {
	at    time.Time
	bytes int64
}

func (m *meter) line(now time.Time, r reading) string {
	rate, quiet := m.rate(now, r)
	parts := []string{r.phase}
	if r.phase == "" {
		parts[0] = "starting"
	}
	switch {
	case r.totalBytes > 0:
		done := max(0, min(r.doneBytes, r.totalBytes))
		parts = append(parts, fmt.Sprintf("%d%%", done*100/r.totalBytes), byteSize(done)+" of "+byteSize(r.totalBytes))
	case r.doneBytes > 0:
		parts = append(parts, byteSize(r.doneBytes))
	case r.totalFiles > 0:
		parts = append(parts, fmt.Sprintf("%d of %s", r.doneFiles, count(r.totalFiles, "file")))
	case r.doneFiles > 0:
		parts = append(parts, count(r.doneFiles, "file"))
	}
	left := r.totalBytes - r.doneBytes
	if rate >= 1 {
		parts = append(parts, byteSize(int64(rate))+"/s")
		if r.totalBytes > 0 && left > 0 {
			parts = append(parts, timeLeft(float64(left)/rate-quiet.Seconds())) // what comes next has been on its way since
		}
	} else if quiet >= quietTime && left > 0 {
		parts = append(parts, "nothing new for "+seconds(quiet))
	}
	return strings.Join(parts, ", ")
}

// rate returns bytes a second, 0 where it is not known, and for how long there has been nothing.
func (m *meter) rate(now time.Time, r reading) (rate float64, quiet time.Duration) {
	n := len(m.steps)
	if n == 0 || r.phase != m.phase || r.doneBytes < m.steps[n-1].bytes {
		m.phase, m.steps = r.phase, []step{{now, r.doneBytes}}
		return 0, 0
	}
	last := m.steps[n-1]
	quiet = now.Sub(last.at)
	paused := n > 1 && quiet > max(rateSpan, 3*last.at.Sub(m.steps[0].at)/time.Duration(n-1))
	if r.doneBytes > last.bytes {
		if paused {
			m.steps = nil
		}
		m.steps = append(m.steps, step{now, r.doneBytes})
		for len(m.steps) > rateSteps+1 && now.Sub(m.steps[1].at) >= rateSpan {
			m.steps = m.steps[1:]
		}
		quiet = 0
	} else if paused {
		return 0, quiet
	}
	first, last := m.steps[0], m.steps[len(m.steps)-1]
	if elapsed := last.at.Sub(first.at).Seconds(); elapsed > 0 {
		return float64(last.bytes-first.bytes) / elapsed, quiet
	}
	return 0, quiet
}

func timeLeft(secs float64) string {
	switch {
	case secs < 120:
		return fmt.Sprintf("%.0f s left", max(1, secs))
	case secs > 100*3600:
		return "days left"
	}
	return seconds(time.Duration(secs*float64(time.Second))) + " left"
}

// seconds gives a duration as people say it.
func seconds(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
