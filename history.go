// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

const (
	historyFile    = "runs.json"
	maxRuns        = 50
	maxRunProblems = 20
)

// Outcome sums up a run.
type Outcome string

const (
	OutcomeOK        Outcome = "ok"        // a snapshot was written
	OutcomeUnchanged Outcome = "unchanged" // nothing had changed, so none was
	OutcomeProblems  Outcome = "problems"  // as ok or unchanged, but something in the snapshot is not whole
	OutcomePartial   Outcome = "partial"   // as ok, unchanged or problems, but not all destinations have it
	OutcomeFailed    Outcome = "failed"    // see Cause and Error
	OutcomeSkipped   Outcome = "skipped"   // not begun, see Cause and Error; neither good nor a failure
)

// Run is one backup that was tried on this device.
type Run struct {
	Started      time.Time `json:"started"`
	Finished     time.Time `json:"finished"`
	Outcome      Outcome   `json:"outcome"`
	Cause        Cause     `json:"cause,omitempty"`
	Error        string    `json:"error,omitempty"` // for people; holds no secret
	Vault        string    `json:"vault,omitempty"` // why the vault does not know of it; for people
	Snapshot     ID        `json:"snapshot,omitzero"`
	Files        int64     `json:"files,omitempty"`
	SourceBytes  int64     `json:"source_bytes,omitempty"`
	AddedBytes   int64     `json:"added_bytes,omitempty"`
	Problems     []Problem `json:"problems,omitempty"` // the first 20
	ProblemCount int       `json:"problem_count,omitempty"`

	Destinations []DestinationRun `json:"destinations,omitempty"`
}

// DestinationRun is what came of a run at one destination.
type DestinationRun struct {
	Destination string  `json:"destination"`
	Outcome     Outcome `json:"outcome"` // ok: it has the newest state; failed: the next run tries again
	Wrote       bool    `json:"wrote"`   // the snapshot was written here, and copied from here to the others
	Snapshots   int     `json:"snapshots,omitempty"`
	Objects     int64   `json:"objects,omitempty"` // copied to it
	Bytes       int64   `json:"bytes,omitempty"`
	Cause       Cause   `json:"cause,omitempty"`
	Error       string  `json:"error,omitempty"` // for people; holds no secret
}

// History is what this device remembers of its runs.
type History struct {
	LastGood time.Time `json:"last_good,omitzero"` // end of the last run that did not fail
	Runs     []Run     `json:"runs"`               // the last 50, oldest first

	// LastGoodAt are the ends of the last runs after which a destination had the newest state.
	LastGoodAt map[string]time.Time `json:"last_good_at,omitempty"`
}

// History returns the runs of this device; none if there were none.
func (d *Device) History() (History, error) {
	var h History
	err := d.readJSON(historyFile, &h)
	if errors.Is(err, fs.ErrNotExist) {
		return History{}, nil
	}
	return h, err
}

// RecordSkipped adds a run that was not begun, for a reason that will pass. The next one that is skipped for the same cause takes its place
// and keeps its beginning: an hour on battery after the other must not push out what came before.
func (d *Device) RecordSkipped(cause Cause, reason string) error {
	now := d.now().UTC()
	return d.record(Run{Started: now, Finished: now, Outcome: OutcomeSkipped, Cause: cause, Error: reason})
}

// record adds a run. A history that cannot be read is begun anew: it serves people, and safety does not rest on it. It has a lock
// of its own, because a run is skipped while another process holds the device's.
func (d *Device) record(r Run) error {
	unlock, err := d.lockHistory()
	if err != nil {
		return err
	}
	defer unlock()
	h, err := d.History()
	if err != nil && !errors.Is(err, ErrState) {
		return err
	}
	if n := len(h.Runs); n > 0 && r.Outcome == OutcomeSkipped && h.Runs[n-1].Outcome == OutcomeSkipped && h.Runs[n-1].Cause == r.Cause {
		r.Started = h.Runs[n-1].Started
		h.Runs = h.Runs[:n-1]
	}
	h.Runs = append(h.Runs, r)
	h.Runs = h.Runs[max(0, len(h.Runs)-maxRuns):]
	if r.Outcome != OutcomeFailed && r.Outcome != OutcomeSkipped {
		h.LastGood = r.Finished
	}
	for _, at := range r.Destinations {
		if at.Outcome == OutcomeOK {
			if h.LastGoodAt == nil {
				h.LastGoodAt = map[string]time.Time{}
			}
			h.LastGoodAt[at.Destination] = r.Finished
		}
	}
	return d.writeJSON(historyFile, h)
}

// lockHistory waits for the lock of historyFile.
func (d *Device) lockHistory() (unlock func(), err error) { return d.waitFor("runs.lock") }

func run(started, finished time.Time, report *archive.BackupReport, at []DestinationRun, err error) Run {
	r := Run{Started: started.UTC(), Finished: finished.UTC(), Destinations: at}
	if err != nil {
		r.Outcome, r.Cause, r.Error = OutcomeFailed, CauseOf(err), err.Error()
		return r
	}
	r.Snapshot, r.Files = report.Snapshot, report.Files
	r.SourceBytes, r.AddedBytes = report.SourceBytes, report.AddedBytes
	r.ProblemCount = len(report.Problems)
	r.Problems = report.Problems[:min(len(report.Problems), maxRunProblems)]
	switch {
	case slices.ContainsFunc(at, func(d DestinationRun) bool { return d.Outcome != OutcomeOK }):
		r.Outcome = OutcomePartial
	case Incomplete(report):
		r.Outcome = OutcomeProblems
	case report.Unchanged:
		r.Outcome = OutcomeUnchanged
	default:
		r.Outcome = OutcomeOK
	}
	return r
}

// Incomplete reports whether something that is in the source is missing from the
// snapshot or possibly torn in it. A file that vanished while the backup ran is not in the source any more,
// and devices, sockets and broken databases are reported, but stored as well as they can be.
func Incomplete(report *archive.BackupReport) bool {
	for _, p := range report.Problems {
		switch p.Kind {
		case archive.ProblemUnreadable, archive.ProblemChanged, archive.ProblemTorn:
			return true
		}
	}
	return false
}
