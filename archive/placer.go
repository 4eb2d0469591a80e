// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// A placer decides under which name each entry is restored: its own wherever the file system can hold it beside the others,
// else an escaped one. No two entries get one name, and the same listing always gives the same names, so that an
// interrupted restore finds its files again. Entries come in the order of the listing.
//
// It also remembers all folders, by their own names only: a path can be long, and shares most of itself with others.
type placer struct {
	rules   nameRules
	folders []placedFolder // each behind the one that it is in; the first is the target itself
	open    []openFolder   // those that the last entry is in, outermost first
}

type placedFolder struct {
	name    string
	parent  int
	mode    uint32
	modTime time.Time
	finish  bool // it gets the mode and time
}

type openFolder struct {
	path, target string
	number       int             // in folders
	taken        map[string]bool // the names in it, folded; nil if the file system does not fold
}

func newPlacer(rules nameRules) *placer {
	p := &placer{rules: rules, folders: make([]placedFolder, 1)}
	p.enter("", "", 0)
	return p
}

func (p *placer) enter(path, target string, number int) {
	f := openFolder{path: path, target: target, number: number}
	if p.rules.folds {
		f.taken = map[string]bool{}
	}
	p.open = append(p.open, f)
}

// inner returns the innermost open folder: an entry's own if it is one, else that which it is in.
func (p *placer) inner() *openFolder { return &p.open[len(p.open)-1] }

// place returns where an entry goes, and why if that is not its own path.
func (p *placer) place(e *format.Entry) (target, why string) {
	for p.inner().path != "" && !within(e.Path, p.inner().path) {
		p.open = p.open[:len(p.open)-1]
	}
	for more := e.Path != ""; more; {
		f, from := p.inner(), 0
		if f.path != "" {
			from = len(f.path) + 1
		}
		var name string
		name, _, more = strings.Cut(e.Path[from:], "/")
		path := e.Path[:from+len(name)]
		name, why = p.name(f, name)
		switch {
		case f.target == f.path && name == path[from:]:
			target = path
		case f.number == 0:
			target = name
		default:
			target = f.target + "/" + name
		}
		if more || e.Type == TypeDir { // with more, the folder's own entry is not in the listing
			p.folders = append(p.folders, placedFolder{name: strings.Clone(name), parent: f.number})
			p.enter(path, target, len(p.folders)-1)
		}
	}
	return target, why
}

// name picks an entry's name in a folder.
func (p *placer) name(f *openFolder, name string) (escaped, why string) {
	escaped, why = p.rules.escape(name)
	if key := p.key(escaped); f.taken[key] || f.number == 0 && key == workName {
		escaped, why = p.rules.hashed(name), "another file has the name, or one that is the same to this file system"
	}
	if f.taken != nil {
		f.taken[p.key(escaped)] = true
	}
	return escaped, why
}

// key is the same for names that are the same to the file system.
func (p *placer) key(name string) string {
	if p.rules.folds {
		return fold(name)
	}
	return name
}

// path returns where a folder is.
func (p *placer) path(number int) string {
	path := p.folders[number].name
	for n := p.folders[number].parent; n > 0; n = p.folders[n].parent {
		path = p.folders[n].name + "/" + path
	}
	return path
}
