// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"strings"
	"sync"
	"time"
)

// maxKnown bounds what is remembered, whatever a server lists. Whoever is forgotten costs a request.
const maxKnown = 200_000

const (
	// recentTime is how long a list may miss what was put, although another list has shown it: Drive's answers come from many machines.
	recentTime = 10 * time.Minute

	maxRecent = 10_000
)

// known remembers which file is the object of a name, which files are gone although Drive may list them for a while, and which were put
// just now.
type known struct {
	mu     sync.Mutex
	byName map[string]entry
	gone   map[string]bool      // by id
	recent map[string]time.Time // by name, when it was put here
	looked map[string]bool      // folders of names that were listed
}

func (k *known) get(name string) (entry, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.byName[name]
	return e, ok
}

func (k *known) put(e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byName == nil || len(k.byName) >= maxKnown {
		k.byName = map[string]entry{}
	}
	k.byName[e.name] = e
}

// noteRecent notes that e was put here.
func (k *known) noteRecent(e entry) {
	k.put(e)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.recent == nil || len(k.recent) >= maxRecent {
		k.recent = map[string]time.Time{}
	}
	k.recent[e.name] = time.Now()
}

// recentBelow returns the objects below a prefix that were put here just now and are not seen.
func (k *known) recentBelow(prefix string, seen func(name string) bool) (missing []entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, at := range k.recent {
		if time.Since(at) > recentTime {
			delete(k.recent, name)
		} else if e, ok := k.byName[name]; ok && strings.HasPrefix(name, prefix) && !seen(name) {
			missing = append(missing, e)
		}
	}
	return missing
}

// firstLook reports whether a folder was not looked at yet.
func (k *known) firstLook(folder string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.looked == nil || len(k.looked) >= maxRecent {
		k.looked = map[string]bool{}
	}
	first := !k.looked[folder]
	k.looked[folder] = true
	return first
}

func (k *known) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byName, name)
}

// lose notes that a file is no more.
func (k *known) lose(e entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byName[e.name].id == e.id {
		delete(k.byName, e.name)
		delete(k.recent, e.name)
	}
	if k.gone == nil || len(k.gone) >= maxKnown {
		k.gone = map[string]bool{}
	}
	k.gone[e.id] = true
}

func (k *known) isGone(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gone[id]
}
