// SPDX-License-Identifier: Apache-2.0

package schedule

import "time"

// grace is how long after its time a run may still come before the user is warned: a laptop sleeps, and a disk is in a drawer.
const grace = 24 * time.Hour

// Next returns the first time of the plan after a moment, in that moment's zone. A time that a change of the clock leaves out is moved as
// package time moves it; one that comes twice is taken once.
func (p Plan) Next(after time.Time) time.Time {
	year, month, day := after.Date()
	for ; ; day++ {
		at := time.Date(year, month, day, p.Hour, p.Minute, 0, 0, after.Location())
		if at.After(after) && p.on(at) {
			return at
		}
	}
}

func (p Plan) on(day time.Time) bool {
	switch p.Every {
	case Weekly:
		return day.Weekday() == p.Weekday
	case Monthly:
		return day.Day() == p.Day
	}
	return true
}

// Standing is how a plan stands at a moment.
type Standing struct {
	Next time.Time // the first time for which there has been no backup; in the past if one is due
	Due  bool
	Late bool // due for longer than a day: the user must know
}

// Standing judges by the end of the last good backup, whoever started it; the zero time means that there was none. A time in the future means
// that the clock was wrong then or is now, and must not keep a backup from being made.
func (s Stored) Standing(now, lastGood time.Time) Standing {
	last := s.Since
	if lastGood.After(last) {
		last = lastGood
	}
	if last.After(now) {
		return Standing{Next: now, Due: true}
	}
	next := s.Plan.Next(last.In(now.Location()))
	return Standing{Next: next, Due: !next.After(now), Late: now.Sub(next) > grace}
}
