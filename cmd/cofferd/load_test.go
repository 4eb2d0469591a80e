// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/wire"
)

func TestLoadDev(t *testing.T) {
	t.Setenv(runMain, "1") // for the vault's process
	for _, mix := range []string{mixRegister, mixRecover, mixStatus} {
		t.Run(mix, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			code, out, said := cofferd(t, "load", "--dev", "--mix", mix, "--accounts", "7", "--workers", "3", "--duration", "200ms", "--json")
			if code != codeOK {
				t.Fatalf("exit code %d: %s", code, said)
			}
			var r report
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			if r.Mix != mix || r.Operations == 0 || r.Failed != 0 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 || r.P999 > r.Max || r.VaultDiskBytes == 0 {
				t.Errorf("%+v", r)
			}
			goleak.VerifyNone(t, leaks)
		})
	}
}

// TestLoadURL measures a vault as another process would, at a rate.
func TestLoadURL(t *testing.T) {
	s := must(openHere(t, t.TempDir(), policyFlags{}))(t)
	err := serveHere(t, s, func(context.Context, *wire.Descriptor) {
		code, out, said := cofferd(t, "load", "--url", s.url, "--mix", mixRecover, "--accounts", "3", "--workers", "3", "--rate", "100", "--duration", "300ms")
		if code != codeOK || !strings.HasPrefix(out, "recover: ") || !strings.Contains(out, "\np50 ") {
			t.Errorf("exit code %d: %s%s", code, out, said)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLoadFails: operations that fail are told by their cause, and by the exit code.
func TestLoadFails(t *testing.T) {
	budget, cooldown := uint8(1), time.Hour
	s := must(openHere(t, t.TempDir(), policyFlags{Budget: &budget, Cooldown: &cooldown}))(t)
	err := serveHere(t, s, func(ctx context.Context, _ *wire.Descriptor) {
		l := must(newLoad(&loadCmd{URL: s.url, Accounts: 1, Workers: 1, Mix: mixRecover, Duration: 100 * time.Millisecond}, must(newTarget(ctx, s.url))(t)))(t)
		w := l.workers[0]
		if err := errors.Join(w.take(ctx, 0), w.registerForReal(ctx)); err != nil {
			t.Fatal(err)
		}
		w.registration[0]++ // which nobody has
		if err := w.measure(ctx, newSchedule(l.Duration, 0)); err != nil {
			t.Fatal(err)
		}
		r := l.report(newSchedule(l.Duration, 0), 0, cpu{})
		var out strings.Builder
		if err := r.print(&app{out: &out}, false); err == nil || r.Failed == 0 || r.Operations != 0 || r.Failures[wire.CodeNoRegistration.String()] != r.Failed {
			t.Errorf("%+v: %v", r, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSchedule: an operation's time counts from when it was to begin, however late that is found out.
func TestSchedule(t *testing.T) {
	s := newSchedule(time.Hour, 100)
	s.start = s.start.Add(-time.Minute) // all workers were busy for a minute
	for n := range 5 {
		if begin, more := s.next(t.Context()); !more || begin.Sub(s.start) != time.Duration(n)*10*time.Millisecond {
			t.Errorf("operation %d begins %v after the start, %t", n, begin.Sub(s.start), more)
		}
	}
}

// TestScheduleOverrun: what never began counts with the time that it has waited.
func TestScheduleOverrun(t *testing.T) {
	s := newSchedule(time.Second, 10)
	s.start, s.end = s.start.Add(-time.Minute), s.start.Add(time.Second-time.Minute)
	s.taken.Store(7)
	if _, more := s.next(t.Context()); more {
		t.Error("it goes on after the end")
	}
	var waited []time.Duration
	s.missed(func(d time.Duration) { waited = append(waited, d) })
	if len(waited) != 3 || waited[0] != 300*time.Millisecond || waited[2] != 100*time.Millisecond {
		t.Errorf("missed: %v", waited)
	}
}

func TestTimes(t *testing.T) {
	a, b := newTimes(), newTimes()
	for n := range 500 {
		a.add(time.Duration(n+1) * time.Millisecond)
		b.add(time.Duration(n+501) * time.Millisecond)
	}
	b.add(2 * longest) // counts as the longest
	a.merge(b)
	near := func(got, want float64) bool { return got > want*0.998 && got < want*1.002 }
	if a.TotalCount() != 1001 || !near(a.quantile(50), 501) || !near(a.quantile(99), 991) || !near(a.quantile(100), 3600_000) {
		t.Errorf("%d values, p50 %v, p99 %v, max %v", a.TotalCount(), a.quantile(50), a.quantile(99), a.quantile(100))
	}
}

// TestLoadChildEnds: a vault that dies under load is told of, with what it said, and leaves nothing behind.
func TestLoadChildEnds(t *testing.T) {
	t.Setenv(runMain, "1")
	var dir string
	err := withChild(t.Context(), 1, 1, func(ctx context.Context, target *target) error {
		dir = target.child.dir
		target.child.cmd.Process.Kill()
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, errChild) || !strings.Contains(err.Error(), "FOR DEVELOPMENT ONLY") || exists(dir) {
		t.Errorf("the folder is still there: %t; %v", exists(dir), err)
	}
}
