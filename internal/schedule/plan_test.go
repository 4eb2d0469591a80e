// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"errors"
	"path"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		words Words
		want  string // or empty where it is refused
	}{
		{Words{Every: "daily"}, "daily at 02:00"},
		{Words{Every: "daily", At: "21:30", OnlyOnWifi: true, OnlyOnPower: true, WithoutVideos: true, LimitUpload: "2M"},
			"daily at 21:30, only on Wi-Fi or a cable, only on power, without videos, at most 2MB/s up"},
		{Words{Every: "weekly"}, "weekly on Sundays at 02:00"},
		{Words{Every: "weekly", On: "tue", At: "00:00"}, "weekly on Tuesdays at 00:00"},
		{Words{Every: "weekly", On: "THURSDAY"}, "weekly on Thursdays at 02:00"},
		{Words{Every: "monthly"}, "monthly on day 1 at 02:00"},
		{Words{Every: "monthly", On: "28", At: "7:05"}, "monthly on day 28 at 07:05"},
		{Words{}, ""},
		{Words{Every: "hourly"}, ""},
		{Words{Every: "daily", On: "sunday"}, ""},
		{Words{Every: "daily", At: "24:00"}, ""},
		{Words{Every: "daily", At: "2"}, ""},
		{Words{Every: "weekly", On: "t"}, ""},
		{Words{Every: "weekly", On: "sundays"}, ""},
		{Words{Every: "weekly", On: "1"}, ""},
		{Words{Every: "monthly", On: "29"}, ""},
		{Words{Every: "monthly", On: "0"}, ""},
		{Words{Every: "monthly", On: "monday"}, ""},
		{Words{Every: "daily", LimitUpload: "fast"}, ""},
	} {
		p, err := Parse(test.words)
		switch {
		case test.want == "":
			if !errors.Is(err, ErrPlan) {
				t.Errorf("%+v: %v, %v", test.words, p, err)
			}
			continue
		case err != nil || p.String() != test.want:
			t.Errorf("%+v: %q, %v, want %q", test.words, p, err, test.want)
		}
		if again, err := Parse(p.Words()); err != nil || again != p {
			t.Errorf("%v comes back as %v, %v", p, again, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{
		"2M": 2_000_000, "2m": 2_000_000, "500k": 500_000, "500K": 500_000, "1.5M": 1_500_000, "1G": 1_000_000_000, "12345": 12_345, "1.001M": 1_001_000,
		"10k": 10_000, "": 0, "0": 0, "9999": 0, "-2M": 0, "M": 0, "2MB": 0, "2 M": 0, "1e6": 0, "0x10M": 0, "inf": 0, "NaN": 0, "2.M.": 0, "9999999G": 0, "+2M": 0, "2.5555M": 0,
	} {
		got, err := ParseRate(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := ParseRate(formatRate(got)); again != got {
			t.Errorf("%d is written %q and read as %d, %v", got, formatRate(got), again, err)
		}
	}
}

func zone(t *testing.T) *time.Location {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return berlin
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.ParseInLocation("2006-01-02 15:04", text, zone(t))
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func plan(t *testing.T, w Words) Plan {
	t.Helper()
	p, err := Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNext(t *testing.T) {
	for _, test := range []struct {
		words       Words
		after, want string
	}{
		{Words{Every: "daily"}, "2026-03-01 01:59", "2026-03-01 02:00"},
		{Words{Every: "daily"}, "2026-03-01 02:00", "2026-03-02 02:00"},
		{Words{Every: "daily"}, "2026-12-31 12:00", "2027-01-01 02:00"},
		{Words{Every: "weekly", On: "mon"}, "2026-03-01 12:00", "2026-03-02 02:00"}, // a Sunday
		{Words{Every: "weekly", On: "sun"}, "2026-03-01 12:00", "2026-03-08 02:00"},
		{Words{Every: "monthly", On: "28"}, "2026-02-28 02:00", "2026-03-28 02:00"},
		{Words{Every: "monthly", On: "5"}, "2026-12-05 02:00", "2027-01-05 02:00"},
		// On 29 March there is no 02:30, on 25 October there are two.
		{Words{Every: "daily", At: "02:30"}, "2026-03-28 12:00", "2026-03-29 03:30"},
		{Words{Every: "daily", At: "02:30"}, "2026-03-29 03:30", "2026-03-30 02:30"},
		{Words{Every: "daily", At: "02:30"}, "2026-10-25 12:00", "2026-10-26 02:30"},
	} {
		if got := plan(t, test.words).Next(at(t, test.after)); !got.Equal(at(t, test.want)) {
			t.Errorf("%+v after %s: %v, want %s", test.words, test.after, got, test.want)
		}
	}
}

func TestStanding(t *testing.T) {
	daily, weekly := Words{Every: "daily"}, Words{Every: "weekly", On: "sun"}
	for name, test := range map[string]struct {
		words                   Words
		since, lastGood, now    string
		next                    string
		due, late               bool
		lastGoodIsNone, partial bool
	}{
		"what was before the plan does not count": {words: daily, since: "2026-03-01 12:00", lastGoodIsNone: true, now: "2026-03-01 12:30", next: "2026-03-02 02:00"},
		"it is time":                       {words: daily, since: "2026-03-01 12:00", lastGoodIsNone: true, now: "2026-03-02 02:00", next: "2026-03-02 02:00", due: true},
		"done":                             {words: daily, since: "2026-03-01 12:00", lastGood: "2026-03-02 02:04", now: "2026-03-02 03:00", next: "2026-03-03 02:00"},
		"missed at night, due in the day":  {words: daily, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", now: "2026-03-02 19:00", next: "2026-03-02 02:00", due: true},
		"a day late":                       {words: daily, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", now: "2026-03-03 02:01", next: "2026-03-02 02:00", due: true, late: true},
		"weekly, a day late":               {words: weekly, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", now: "2026-03-09 03:00", next: "2026-03-08 02:00", due: true, late: true},
		"weekly, not yet":                  {words: weekly, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", now: "2026-03-07 03:00", next: "2026-03-08 02:00"},
		"weekly, a destination was away":   {words: weekly, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", partial: true, now: "2026-03-02 02:03", next: "2026-03-02 02:04"},
		"weekly, it is tried the next day": {words: weekly, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", partial: true, now: "2026-03-02 03:00", next: "2026-03-02 02:04", due: true},
		"daily, a destination was away":    {words: daily, since: "2026-01-01 12:00", lastGood: "2026-03-01 02:04", partial: true, now: "2026-03-01 03:00", next: "2026-03-02 02:00"},
		"partial, before the plan was set": {words: weekly, since: "2026-03-02 12:00", lastGood: "2026-03-01 02:04", partial: true, now: "2026-03-03 03:00", next: "2026-03-08 02:00"},
		"the clock was ahead":              {words: daily, since: "2026-01-01 12:00", lastGood: "2036-03-01 02:04", now: "2026-03-07 03:00", next: "2026-03-07 03:00", due: true},
	} {
		var lastGood time.Time
		if !test.lastGoodIsNone {
			lastGood = at(t, test.lastGood)
		}
		s := Stored{Plan: plan(t, test.words), Since: at(t, test.since).UTC()}
		got := s.Standing(at(t, test.now), LastGood{lastGood.UTC(), test.partial})
		if want := (Standing{at(t, test.next), test.due, test.late}); !got.Next.Equal(want.Next) || got.Due != want.Due || got.Late != want.Late {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestVideos(t *testing.T) {
	for name, want := range map[string]bool{
		"VID-20260101-WA0001.mp4": true, "a.MOV": true, "b.3gP": true, "c.webm": true,
		"IMG-20260101-WA0001.jpg": false, "mp4": false, "a.mp4.txt": false, "PTT-1.opus": false, "GIF.gif": false,
	} {
		got := slices.ContainsFunc(Videos(), func(pattern string) bool {
			matched, err := path.Match(pattern, name)
			return err != nil || matched
		})
		if got != want {
			t.Errorf("%s is a video: %v", name, got)
		}
	}
}

func TestStored(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNone) {
		t.Errorf("nothing stored: %v", err)
	}
	want := Stored{
		Plan:     plan(t, Words{Every: "weekly", On: "fri", At: "23:59", OnlyOnPower: true, LimitUpload: "1.5M"}),
		Since:    time.Date(2026, 3, 1, 12, 0, 0, 123, time.UTC),
		Runner:   "systemd",
		KeyFiles: true,
	}
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir); err != nil || got != want {
		t.Errorf("loaded %+v, %v, want %+v", got, err, want)
	}
	if err := errors.Join(Remove(dir), Remove(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, ErrNone) {
		t.Errorf("removed: %v", err)
	}
}

// What is read is what is written again, and nothing that is read can make a plan that Parse would refuse.
func FuzzStored(f *testing.F) {
	f.Add([]byte(`{"version":1,"every":"daily","at":"02:00","since":"2026-03-01T12:00:00Z","runner":"systemd"}`))
	f.Add([]byte(`{"version":1,"every":"monthly","at":"23:59","on":"28","only_on_wifi":true,"limit_upload":"12345","since":"2026-03-01T12:00:00Z","runner":"cron","key_files":true}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		text, err := s.encode()
		if err != nil {
			t.Skip("a year that JSON cannot say") // which time.Time reads, but does not write
		}
		if again, err := decode(text); err != nil || again.Plan != s.Plan || !again.Since.Equal(s.Since) || again.Runner != s.Runner || again.KeyFiles != s.KeyFiles {
			t.Errorf("%+v comes back as %+v, %v", s, again, err)
		}
	})
}
