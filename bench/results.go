// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
)

// results holds what was measured, in seconds and bytes, one value per round, by
// figure ("first.wall") and contender.
type results map[string]map[string][]float64

func (r results) add(figure, contender string, value float64) {
	if r[figure] == nil {
		r[figure] = make(map[string][]float64)
	}
	r[figure][contender] = append(r[figure][contender], value)
}

// median is false if the contender has no such figure.
func (r results) median(figure, contender string) (float64, bool) {
	values := slices.Sorted(slices.Values(r[figure][contender]))
	if len(values) == 0 {
		return 0, false
	}
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

const none = "–" // what a cell without a value says

// cell is the median, and the extremes if they look different.
func (r results) cell(figure, contender string, u unit) string {
	median, ok := r.median(figure, contender)
	if !ok {
		return none
	}
	values := r[figure][contender]
	low, high := u.format(slices.Min(values)), u.format(slices.Max(values))
	if low == high {
		return u.format(median)
	}
	return fmt.Sprintf("%s (%s to %s)", u.format(median), low, high)
}

// ratio is coffer's median over another's.
func (r results) ratio(figure, other string) string {
	ours, ok := r.median(figure, nameCoffer)
	theirs, okTheirs := r.median(figure, other)
	if !ok || !okTheirs || theirs == 0 {
		return none
	}
	digits := 2
	if ours < theirs/10 {
		digits = 3
	}
	return strconv.FormatFloat(ours/theirs, 'f', digits, 64)
}

// A unit says how a figure is printed.
type unit int

const (
	seconds unit = iota
	megabytes
	count
	percent
)

func (u unit) format(v float64) string {
	switch u {
	case seconds:
		return strconv.FormatFloat(v, 'f', 2, 64) + " s"
	case megabytes:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + " MB"
	case percent:
		return strconv.FormatFloat(v*100, 'f', 0, 64) + " %"
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}
