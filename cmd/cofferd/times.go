// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// times is how long operations took, to three digits, in memory that does not grow with their number.
type times struct{ *hdrhistogram.Histogram }

const longest = time.Hour

func newTimes() *times {
	return &times{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

func (t *times) add(d time.Duration) {
	d = min(max(d, 0), longest)
	if err := t.RecordValue(d.Microseconds()); err != nil {
		panic(err) // it is within the bounds
	}
}

func (t *times) merge(other *times) { t.Merge(other.Histogram) }

// quantile returns milliseconds.
func (t *times) quantile(percent float64) float64 { return float64(t.ValueAtQuantile(percent)) / 1000 }
