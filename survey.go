// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

// Survey is the archive as it is at all of this device's destinations.
type Survey struct {
	Archive      *archive.Archive // open at the one with the newest state; nil if it can be opened at none
	Err          error            // why, then
	Destinations []DestinationState
}

// DestinationState is what a survey finds at one destination.
type DestinationState struct {
	Destination string    `json:"destination"`
	State       State     `json:"state"`
	Generation  uint64    `json:"generation"`         // 0: unknown or none yet
	Behind      int       `json:"behind"`             // snapshots that it lacks, as far as is known
	LastGood    time.Time `json:"last_good,omitzero"` // end of the last run after which it had the newest state
	LastFailure *Failure  `json:"last_failure"`       // of the last 50 runs; nil: none since LastGood
	Err         error     `json:"-"`                  // of this survey
}

// Failure is when and how a destination failed.
type Failure struct {
	At    time.Time `json:"at"`
	Cause Cause     `json:"cause"`
	Error string    `json:"error"` // for people; holds no secret
}

// State of a destination in a survey.
type State string

// The states. A destination that is behind shows what it did when this device last saw it; one that has gone back from that is refused.
const (
	StateNewest State = "newest" // it has the newest state that this device knows of
	StateBehind State = "behind" // the next backup catches it up
	StateFailed State = "failed" // see Err
)

// Survey opens the archive at all destinations. Close its Archive, if there is one.
//
// Errors: ErrNotEnabled, ErrNoKey, those of the KeyStore.
func (d *Device) Survey(ctx context.Context, acceptOlder bool) (*Survey, error) {
	c, err := d.Config()
	if err != nil {
		return nil, err
	}
	return d.survey(ctx, c, acceptOlder)
}

func (d *Device) survey(ctx context.Context, c Config, acceptOlder bool) (*Survey, error) {
	ps, err := d.openPlaces(ctx, c, acceptOlder)
	if err != nil {
		return nil, err
	}
	main := ps.newest(false)
	s := &Survey{}
	if main == nil {
		s.Err = ps.failure()
	} else {
		s.Archive = main.archive
	}
	history, err := d.History()
	if err != nil {
		history = History{} // it serves people, and a survey is more than that
	}
	for _, p := range ps.list {
		if main != nil && p != main {
			p.openThrough(ctx, ps, main)
		}
		s.Destinations = append(s.Destinations, p.state(ps, main, &history))
	}
	if main != nil && len(ps.list) > 1 {
		ps.sayStates(main, s.Destinations)
		main.archive.Fallback(ps.stores(main)...)
	}
	for _, p := range ps.list {
		if p != main {
			p.close()
		}
	}
	return s, nil
}

func (p *place) state(ps *places, main *place, history *History) DestinationState {
	s := DestinationState{Destination: p.text, State: StateFailed, Err: p.err}
	if p.archive != nil && main != nil {
		s.State, s.Generation = StateNewest, p.archive.Head().Generation
		s.Behind = main.archive.SnapshotsMissing(p.archive)
		if s.Behind > 0 || s.Generation < max(main.archive.Head().Generation, ps.memory.Generation) {
			s.State = StateBehind
		}
	}
	s.LastGood = history.LastGoodAt[p.text]
	if s.LastGood.IsZero() && len(ps.list) == 1 {
		s.LastGood = history.LastGood
	}
	for _, r := range history.Runs {
		at := r.of(p.text, len(ps.list) == 1)
		switch {
		case at.Outcome == OutcomeFailed:
			s.LastFailure = &Failure{r.Finished, at.Cause, at.Error}
		case at.Outcome == OutcomeOK:
			s.LastFailure = nil
		}
	}
	return s
}

// of returns what came of a run at a destination. Runs of before there were several tell of the only one.
func (r *Run) of(destination string, only bool) DestinationRun {
	for _, at := range r.Destinations {
		if at.Destination == destination {
			return at
		}
	}
	if only && r.Outcome == OutcomeFailed {
		return DestinationRun{Outcome: OutcomeFailed, Cause: r.Cause, Error: r.Error}
	}
	return DestinationRun{}
}

// sayStates says which destination is read, and how the others stand to it.
func (ps *places) sayStates(main *place, states []DestinationState) {
	for i, s := range states {
		switch {
		case s.State == StateFailed && ps.list[i].err != nil:
			main.archive.Notice(fmt.Sprintf("%s cannot be used: %v; reading from %s", s.Destination, s.Err, main.text))
		case ps.list[i] != main && s.State == StateBehind && s.Behind > 0:
			main.archive.Notice(fmt.Sprintf("%s is behind, by %d of %d snapshots; reading from %s", s.Destination, s.Behind, len(main.archive.Snapshots()), main.text))
		}
	}
	if main.archive.Head().Generation < ps.memory.Generation {
		head, _ := ps.memory.head()
		sayLag(main.archive, head)
	}
}
