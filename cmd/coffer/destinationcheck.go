// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/destination"
)

type destinationCheckCmd struct {
	Destination string `arg:"" optional:"" help:"Its text; without it, this device's own."`
	Whole       bool   `help:"As many objects and bytes as a driver's own tests take: 3,000 and 130 MB."`
}

func (destinationCheckCmd) Help() string {
	return "It puts some 300 objects, 25 MB, under a random name, and removes them; what else is there is not touched. Providers may charge for requests, and cut long lists into " +
		"pages, which only --whole sees.\n\n" + examples("coffer destination check", "coffer destination check gdrive: --whole")
}

type checked struct {
	Check        string `json:"check"`
	OK           bool   `json:"ok"`
	Milliseconds int64  `json:"milliseconds"`
	Failure      string `json:"failure,omitempty"`
}

func (c *destinationCheckCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	text, err := (&fromFlags{From: c.Destination}).destination(d)
	if err != nil {
		return err
	}
	if text, err = destination.Canonical(text); err != nil {
		return err
	}
	a.from = c.Destination
	store, err := a.openDestination(text)
	if err != nil {
		return err
	}
	l, err := a.begin("checks", map[string]any{"destination": text})
	if err != nil {
		return err
	}
	a.remark("Checking %s", printable(text))
	return l.end(c.check(a, l, store))
}

// hopeless are failures after which the other checks would fail alike.
var hopeless = []coffer.Cause{coffer.CauseInterrupted, coffer.CauseUnreachable, coffer.CauseDenied, coffer.CauseFull}

func (c *destinationCheckCmd) check(a *app, l *listing, store blob.Store) error {
	failed := 0
	for _, check := range blobtest.Checks() {
		begin := time.Now()
		err := check.Run(a.ctx, store, !c.Whole)
		took := time.Since(begin)
		item := checked{check.Name, err == nil, took.Milliseconds(), ""}
		line := fmt.Sprintf("ok    %8s  %s", took.Round(time.Millisecond), check.Name)
		if err != nil {
			item.Failure = escaped(err.Error())
			line = fmt.Sprintf("FAIL  %8s  %s: %s", took.Round(time.Millisecond), check.Name, item.Failure)
			failed++
		}
		if err := errors.Join(l.add(line, item), a.out.Flush()); err != nil {
			return err
		}
		if slices.Contains(hopeless, coffer.CauseOf(err)) {
			return fmt.Errorf("stopped at %q: %w", check.Name, err)
		}
	}
	if failed > 0 {
		return outcome{codeFailed, fmt.Sprintf("%s of %d failed", count(int64(failed), "check"), l.items),
			"This destination does not keep what an archive rests on; do not back up to it."}
	}
	a.remark("All %d checks passed: this destination keeps what an archive rests on.", l.items)
	return nil
}
