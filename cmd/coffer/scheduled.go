// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/schedule"
	"github.com/coffer-backup/coffer/internal/schedule/condition"
)

// scheduled is what the system's scheduler starts every hour: a backup, if one is due and may be made now. That it need not or may not
// be made is no failure.
func (c *backupCmd) scheduled(a *app, d *coffer.Device) error {
	stored, err := schedule.Load(d.Dir())
	if errors.Is(err, schedule.ErrNone) {
		return outcome{codeNotThere, err.Error() + ", but something starts it", "Take it away: coffer schedule off"}
	} else if err != nil {
		return err
	}
	if _, err := d.Config(); err != nil {
		return err
	}
	history, err := d.History()
	if err != nil && !errors.Is(err, coffer.ErrState) {
		return err
	}
	if standing := stored.Standing(time.Now(), lastGood(history)); !standing.Due {
		return a.notNow("not-due", "the next backup is due at "+clock(standing.Next))
	}
	if cause, why := a.mayRun(stored.Plan); cause != "" {
		return a.skip(d, cause, why)
	}
	c.WithoutVideos, a.uploadLimit = stored.Plan.WithoutVideos, stored.Plan.UploadBytesPerSecond
	if d, err = a.device(); err != nil { // with the limit
		return err
	}
	err = c.backup(a, d)
	if coffer.CauseOf(err) == coffer.CauseBusy {
		return a.skip(d, coffer.CauseBusy, err.Error())
	}
	return err
}

// lastGood is the last good backup of a history.
func lastGood(h coffer.History) schedule.LastGood {
	good := schedule.LastGood{Ended: h.LastGood}
	for _, r := range h.Runs { // the last one that was made decides
		if r.Outcome != coffer.OutcomeFailed && r.Outcome != coffer.OutcomeSkipped {
			good.Partial = r.Outcome == coffer.OutcomePartial
		}
	}
	return good
}

// skip records why a run that is due was not begun.
func (a *app) skip(d *coffer.Device, cause coffer.Cause, why string) error {
	if err := d.RecordSkipped(cause, why); err != nil {
		return err
	}
	return a.notNow(cause, why)
}

func (a *app) notNow(cause coffer.Cause, why string) error {
	if a.cli.JSON {
		return a.answer(map[string]any{"skipped": map[string]any{"cause": cause, "message": why}})
	}
	a.remark("No backup now: %s.", escaped(why))
	return nil
}

// mayRun says why a run has to wait; an empty cause says that it need not. What the system's scheduler looks after itself is not
// looked at here: on Windows, the battery.
func mayRun(a *app, p schedule.Plan) (cause coffer.Cause, why string) {
	if runtime.GOOS != "linux" {
		return "", ""
	}
	sysClass := os.DirFS("/sys/class")
	if p.OnlyOnPower {
		if answer := condition.OnPower(sysClass); !answer.OK {
			return coffer.CausePower, answer.Why
		}
	}
	if p.OnlyOnWifi {
		if answer := condition.OnWifi(os.DirFS("/proc/net"), sysClass, condition.NetworkManager(a.ctx)); !answer.OK {
			return coffer.CauseNetwork, answer.Why
		}
	}
	return "", ""
}
