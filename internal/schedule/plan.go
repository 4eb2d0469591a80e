// SPDX-License-Identifier: Apache-2.0

// Package schedule says when this device backs up by itself: what the user asked for, when a run is due, and the texts with
// which the system's own scheduler (systemd, launchd, Windows' Task Scheduler, cron) starts it.
//
// The system's scheduler starts Coffer every hour, at the plan's minute, and Coffer decides whether a run is due. So a run that
// could not be made at its time, on battery or asleep or with the disk unplugged, is made within the hour after it can be, and
// no scheduler has to know what a month is.
//
// It guarantees that a plan which it has parsed can be stored and comes back the same, and that no name of a folder,
// whatever is in it, becomes anything but that name in the text for a scheduler: what cannot be written so is refused. It trusts this device's
// clock and state directory. Nothing here touches the system; package install does.
package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrPlan means that words make no plan. The error that wraps it says which, and what would do.
var ErrPlan = errors.New("no such schedule")

// Period is how often a backup is due.
type Period string

// The periods.
const (
	Daily   Period = "daily"
	Weekly  Period = "weekly"
	Monthly Period = "monthly"
)

// Words are a plan as it is typed and stored. Empty ones stand for what is usual.
type Words struct {
	Every         string `json:"every"`
	At            string `json:"at"`           // 02:00
	On            string `json:"on,omitempty"` // sunday, or a day of the month
	OnlyOnWifi    bool   `json:"only_on_wifi,omitempty"`
	OnlyOnPower   bool   `json:"only_on_power,omitempty"`
	WithoutVideos bool   `json:"without_videos,omitempty"`
	LimitUpload   string `json:"limit_upload,omitempty"` // 2M
}

// Plan is what the user asked for. Parse makes it; the zero value is none.
type Plan struct {
	Every         Period
	Hour, Minute  int
	Weekday       time.Weekday // of a weekly plan
	Day           int          // of a monthly plan, 1 to 28: every month has it
	OnlyOnWifi    bool
	OnlyOnPower   bool
	WithoutVideos bool

	UploadBytesPerSecond int64 // 0: no limit
}

// Parse makes a plan of words. Its errors wrap ErrPlan.
func Parse(w Words) (Plan, error) {
	p := Plan{
		Every: Period(w.Every), OnlyOnWifi: w.OnlyOnWifi, OnlyOnPower: w.OnlyOnPower, WithoutVideos: w.WithoutVideos,
	}
	if w.At == "" {
		w.At = "02:00"
	}
	at, err := time.Parse("15:04", w.At)
	if err != nil {
		return Plan{}, fmt.Errorf("%w: %q is no time of the day; write it as 02:00 or 21:30", ErrPlan, w.At)
	}
	p.Hour, p.Minute = at.Hour(), at.Minute()
	if err := p.parseDay(w.On); err != nil {
		return Plan{}, err
	}
	if w.LimitUpload != "" {
		if p.UploadBytesPerSecond, err = ParseRate(w.LimitUpload); err != nil {
			return Plan{}, err
		}
	}
	return p, nil
}

func (p *Plan) parseDay(on string) (err error) {
	switch p.Every {
	case Daily:
		if on != "" {
			return fmt.Errorf("%w: a daily backup is on every day; leave out the day, or say weekly or monthly", ErrPlan)
		}
	case Weekly:
		p.Weekday, err = parseWeekday(on)
	case Monthly:
		p.Day, err = parseMonthDay(on)
	default:
		return fmt.Errorf("%w: %q is none of daily, weekly, monthly", ErrPlan, string(p.Every))
	}
	return err
}

// parseWeekday takes a day's English name or the beginning of it; three letters tell them apart.
func parseWeekday(on string) (time.Weekday, error) {
	if on == "" {
		return time.Sunday, nil
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := strings.ToLower(day.String()); len(on) >= 3 && strings.HasPrefix(name, strings.ToLower(on)) {
			return day, nil
		}
	}
	return 0, fmt.Errorf("%w: %q is no day of the week; write it as sunday or sun", ErrPlan, on)
}

func parseMonthDay(on string) (int, error) {
	if on == "" {
		return 1, nil
	}
	day, err := strconv.Atoi(on)
	if err != nil || day < 1 || day > 28 {
		return 0, fmt.Errorf("%w: %q is no day that every month has; give a number from 1 to 28", ErrPlan, on)
	}
	return day, nil
}

// Words returns what Parse makes the same plan of.
func (p Plan) Words() Words {
	w := Words{
		Every: string(p.Every), At: fmt.Sprintf("%02d:%02d", p.Hour, p.Minute),
		OnlyOnWifi: p.OnlyOnWifi, OnlyOnPower: p.OnlyOnPower, WithoutVideos: p.WithoutVideos,
	}
	switch p.Every {
	case Weekly:
		w.On = strings.ToLower(p.Weekday.String())
	case Monthly:
		w.On = strconv.Itoa(p.Day)
	}
	if p.UploadBytesPerSecond > 0 {
		w.LimitUpload = formatRate(p.UploadBytesPerSecond)
	}
	return w
}

// String says the plan to people.
func (p Plan) String() string {
	w := p.Words()
	s := w.Every
	switch p.Every {
	case Weekly:
		s += " on " + p.Weekday.String() + "s"
	case Monthly:
		s += " on day " + w.On
	}
	parts := []string{s + " at " + w.At}
	for _, part := range []struct {
		set  bool
		text string
	}{
		{p.OnlyOnWifi, "only on Wi-Fi or a cable"},
		{p.OnlyOnPower, "only on power"},
		{p.WithoutVideos, "without videos"},
		{w.LimitUpload != "", "at most " + w.LimitUpload + "B/s up"},
	} {
		if part.set {
			parts = append(parts, part.text)
		}
	}
	return strings.Join(parts, ", ")
}

// Videos are the patterns that leave out videos, by the endings of their names, in either case. They are patterns as of
// an exclude file, so a folder of such a name is left out too.
func Videos() []string {
	var patterns []string
	for _, ending := range []string{
		"3g2", "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv",
	} {
		pattern := "*."
		for _, r := range ending {
			if upper := strings.ToUpper(string(r)); upper != string(r) {
				pattern += "[" + string(r) + upper + "]"
			} else {
				pattern += string(r)
			}
		}
		patterns = append(patterns, pattern)
	}
	return slices.Clip(patterns)
}
