// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/schedule"
	"github.com/coffer-backup/coffer/internal/schedule/install"
)

// A device goes through a night: on battery, on mobile data, then at home.
func TestScheduledRunWaits(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	t.Setenv("COFFER_HOME", home)
	source := filepath.Join(dir, "chats")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, text := runHere(t, t.Context(), "init", source, "--to", filepath.Join(dir, "dest"), "--key", "--yes"); code != codeOK {
		t.Fatal(text)
	}
	plan, err := schedule.Parse(schedule.Words{Every: "weekly", OnlyOnPower: true, OnlyOnWifi: true})
	if err != nil {
		t.Fatal(err)
	}
	long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := (schedule.Stored{Plan: plan, Since: long, Runner: install.Cron, KeyFiles: true}).Save(home); err != nil {
		t.Fatal(err)
	}
	var want []coffer.Run
	for _, now := range []struct {
		cause coffer.Cause
		run   coffer.Run
	}{
		{coffer.CausePower, coffer.Run{Outcome: coffer.OutcomeSkipped, Cause: coffer.CausePower}},
		{coffer.CausePower, coffer.Run{}}, // the same entry
		{coffer.CauseNetwork, coffer.Run{Outcome: coffer.OutcomeSkipped, Cause: coffer.CauseNetwork}},
		{"", coffer.Run{Outcome: coffer.OutcomeOK}},
		{coffer.CausePower, coffer.Run{}}, // nothing is due any more
	} {
		a := newApp(t.Context(), os.Stdin, os.Stdout, os.Stderr)
		a.mayRun = func(p schedule.Plan) (coffer.Cause, string) {
			if p != plan {
				t.Errorf("asked for %v", p)
			}
			return now.cause, "the reason"
		}
		if code := a.run([]string{"backup", "--scheduled", "--quiet", "--state", home}); code != codeOK {
			t.Errorf("%q: exit code %d", now.cause, code)
		}
		if now.run.Outcome != "" {
			want = append(want, now.run)
		}
		history, err := coffer.OpenDevice(home, coffer.Options{}).History()
		if err != nil || len(history.Runs) != len(want) {
			t.Fatalf("%q: history %+v, %v, want %+v", now.cause, history, err, want)
		}
		for i, r := range history.Runs {
			if r.Outcome != want[i].Outcome || r.Cause != want[i].Cause {
				t.Errorf("%q: run %d is %+v, want %+v", now.cause, i, r, want[i])
			}
		}
	}
}

// What a schedule says of the limit reaches what opens destinations.
func TestUploadLimitReachesTheDestination(t *testing.T) {
	a := testApp(t)
	a.uploadLimit = 2_000_000
	if o := a.opener(nil); o.UploadBytesPerSecond != 2_000_000 {
		t.Errorf("limit %d", o.UploadBytesPerSecond)
	}
}

func TestConditionsNobodyCanCheckAreRefused(t *testing.T) {
	for _, test := range []struct {
		system string
		plan   schedule.Plan
		ok     bool
	}{
		{"linux", schedule.Plan{OnlyOnWifi: true, OnlyOnPower: true}, true},
		{"windows", schedule.Plan{OnlyOnPower: true}, true},
		{"windows", schedule.Plan{OnlyOnWifi: true}, false},
		{"darwin", schedule.Plan{OnlyOnPower: true}, false},
		{"darwin", schedule.Plan{OnlyOnWifi: true}, false},
		{"darwin", schedule.Plan{WithoutVideos: true}, true},
	} {
		if err := canTell(test.system, test.plan); (err == nil) != test.ok {
			t.Errorf("%s, %+v: %v", test.system, test.plan, err)
		}
	}
}

func TestLastGood(t *testing.T) {
	ended := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		outcomes []coffer.Outcome
		partial  bool
	}{
		{nil, false},
		{[]coffer.Outcome{coffer.OutcomeOK}, false},
		{[]coffer.Outcome{coffer.OutcomeOK, coffer.OutcomePartial}, true},
		{[]coffer.Outcome{coffer.OutcomePartial, coffer.OutcomeSkipped, coffer.OutcomeFailed}, true}, // these made nothing
		{[]coffer.Outcome{coffer.OutcomePartial, coffer.OutcomeUnchanged}, false},
	} {
		h := coffer.History{LastGood: ended}
		for _, o := range test.outcomes {
			h.Runs = append(h.Runs, coffer.Run{Outcome: o})
		}
		if got := lastGood(h); got != (schedule.LastGood{Ended: ended, Partial: test.partial}) {
			t.Errorf("%q: %+v", test.outcomes, got)
		}
	}
}
