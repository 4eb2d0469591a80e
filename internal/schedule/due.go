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

// LastGood is the last good backup, whoever started it. The zero value means that there was none.
type LastGood struct {
	Ended   time.Time
	Partial bool // not all destinations have it
}

// catchUp is how long a destination that was away waits for the next try, where the plan would let it wait longer. It is not an hour: a disk
// in a drawer must not make a snapshot an hour.
const catchUp = 24 * time.Hour

// Standing judges by the last good backup. A time in the future means that the clock was wrong then or is now, and must not keep a backup
// from being made.
func (s Stored) Standing(now time.Time, good LastGood) Standing {
	last := s.Since
	if good.Ended.After(last) {
		last = good.Ended
	}
	if last.After(now) {
		return Standing{Next: now, Due: true}
	}
	next := s.Plan.Next(last.In(now.Location()))
	if again := last.In(now.Location()).Add(catchUp); good.Partial && last.Equal(good.Ended) && again.Before(next) {
		next = again
	}
	return Standing{Next: next, Due: !next.After(now), Late: now.Sub(next) > grace}
}
