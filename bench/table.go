// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// A row is one figure of the table.
type row struct {
	figure string
	name   string
	unit   unit
	aim    aim
	newer  newer
}

// An aim is a limit for coffer: a multiple of another's figure, or a value.
type aim struct {
	than  string // a contender, or absolute; "" is no aim
	limit float64
}

const absolute = "absolute"

// newer is what the newest restic (0.19.1) and kopia (0.23.1) took beside
// tar | zstd | age in one quiet run of all of them, on another machine of 2 cores.
// With tar's figure here it gives what they would take here.
type newer struct {
	figure             string // tar's figure that they are compared with; "" is the row's own
	tar, restic, kopia float64
}

const packBytes = 16 << 20

// table lists what is printed. What coffer may hold in memory grows with the pages
// and files of the store.
func table(pagesAndFiles, tiny int) []row {
	memory := func(things int) aim { return aim{absolute, 200e6 + 32*float64(things)} }
	return []row{
		{"first.wall", "first backup", seconds, aim{nameTar, 0.75}, newer{"", 7.1, 15.8, 13.3}},
		{"first.cpu", "– CPU", seconds, aim{nameTar, 0.7}, newer{"", 11.5, 28.5, 15.8}},
		{"first.rss", "– memory", megabytes, memory(pagesAndFiles), newer{}},
		{"first.bytes", "– archive", megabytes, aim{nameRestic, 1.02}, newer{"", 2991, 2725, 2740}},
		{"first.objects", "– objects", count, aim{}, newer{}},
		{"same.wall", "nothing changed", seconds, aim{absolute, 0.2}, newer{"first.wall", 7.1, 0.86, 0.29}},
		{"same.objects", "– new objects", count, aim{absolute, 0}, newer{}},
		{"day2.wall", "second day", seconds, aim{nameTar, 0.12}, newer{"", 6.7, 3.9, 2.4}},
		{"day2.cpu", "– CPU", seconds, aim{}, newer{}},
		{"day2.bytes", "– added", megabytes, aim{nameRestic, 0.12}, newer{"", 2999, 212, 235}},
		{"day2.objects", "– new objects", count, aim{}, newer{}},
		{"restore.wall", "full restore", seconds, aim{nameTar, 0.75}, newer{"", 6.7, 7.8, 12.5}},
		{"restore.cpu", "– CPU", seconds, aim{}, newer{}},
		{"restore.rss", "– memory", megabytes, memory(pagesAndFiles), newer{}},
		{"verify.wall", "full verify", seconds, aim{nameTar, 0.8}, newer{"", 3.7, 5.5, 5.0}},
		{"verify.rss", "– memory", megabytes, memory(pagesAndFiles), newer{}},
		{"dump.wall", "one file out", seconds, aim{absolute, 0.15}, newer{}},
		{"kill.bytes", "sent again after kill -9", megabytes, aim{absolute, 4 * packBytes}, newer{}},
		{"kill.share", "– of what had been sent", percent, aim{}, newer{}},
		{"daily.bytes", "daily snapshots, archive", megabytes, aim{nameRestic, 0.25}, newer{}},
		{"daily.wall", "– all backups", seconds, aim{}, newer{}},
		{"tiny.wall", "tiny files, first backup", seconds, aim{nameRestic, 0.6}, newer{}},
		{"tiny.rss", "– memory", megabytes, memory(tiny), newer{}},
		{"tinysame.wall", "– nothing changed", seconds, aim{nameRestic, 0.4}, newer{}},
		{"tinyrestore.wall", "– restore", seconds, aim{nameRestic, 0.7}, newer{}},
	}
}

func (r results) write(w io.Writer, rows []row) error {
	lines := []string{
		"| | coffer | tar \\| zstd \\| age | restic | ÷ tar… | ÷ restic | aim | met | restic 0.19 (computed) | kopia 0.23 (computed) |",
		"|---|---|---|---|---|---|---|---|---|---|",
	}
	for _, row := range rows {
		if len(r[row.figure]) == 0 {
			continue
		}
		restic, kopia := row.computed(r)
		lines = append(lines, "| "+strings.Join([]string{
			row.name,
			r.cell(row.figure, nameCoffer, row.unit),
			r.cell(row.figure, nameTar, row.unit),
			r.cell(row.figure, nameRestic, row.unit),
			r.ratio(row.figure, nameTar),
			r.ratio(row.figure, nameRestic),
			row.aim.text(row.unit),
			row.met(r),
			restic, kopia,
		}, " | ")+" |")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func (a aim) text(u unit) string {
	switch a.than {
	case "":
		return none
	case absolute:
		return "≤ " + u.format(a.limit)
	default:
		return fmt.Sprintf("≤ %g × %s", a.limit, strings.ReplaceAll(a.than, "|", `\|`))
	}
}

func (row row) met(r results) string {
	ours, ok := r.median(row.figure, nameCoffer)
	limit := row.aim.limit
	if row.aim.than != absolute {
		theirs, known := r.median(row.figure, row.aim.than)
		limit, ok = limit*theirs, ok && known
	}
	switch {
	case !ok:
		return none
	case ours <= limit:
		return "yes"
	default:
		return "**no**"
	}
}

func (row row) computed(r results) (restic, kopia string) {
	figure := row.newer.figure
	if figure == "" {
		figure = row.figure
	}
	tar, ok := r.median(figure, nameTar)
	if !ok || row.newer.tar == 0 {
		return none, none
	}
	return row.unit.format(tar * row.newer.restic / row.newer.tar), row.unit.format(tar * row.newer.kopia / row.newer.tar)
}
