// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// workName is the private folder of a restore inside its target. Its state file names the snapshot, so that an interrupted
// restore is known again, and is locked while a restore is at work.
const (
	workName  = ".coffer-restore"
	stateName = "state"
)

// state is what the state file says. made tells whether the target itself is the restore's or the user's.
func (r *restore) state(made bool) string {
	return fmt.Sprintf("archive %s\nsnapshot %s\nmade %t\n", r.a.id, r.s.ref.Name, made)
}

// open looks at the target. It writes nothing.
func (r *restore) open() error {
	info, err := os.Stat(r.c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.made, r.empty = true, true
		return nil
	case err != nil:
		return fmt.Errorf("open the folder to restore to: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder", ErrOccupied, r.c.Dir)
	}
	if r.root, err = os.OpenRoot(r.c.Dir); err != nil {
		return fmt.Errorf("open the folder to restore to: %w", err)
	}
	if r.empty, err = isEmpty(r.root); err != nil {
		return fmt.Errorf("read the folder to restore to: %w", err)
	}
	state, _ := r.root.ReadFile(workName + "/" + stateName)
	r.resume = r.interrupted(string(state))
	return nil
}

// interrupted tells by a state file whether it is of an earlier restore of this snapshot.
func (r *restore) interrupted(state string) bool {
	made := strings.HasSuffix(state, "\nmade true\n")
	r.made = r.made || made
	return state == r.state(made)
}

func isEmpty(root *os.Root) (bool, error) {
	dir, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// check reads what is to be restored, and refuses the target if something there is in the way. It writes nothing.
func (r *restore) check(ctx context.Context) (bytes, files int64, err error) {
	names := newPlacer(usualRules())
	var inTheWay []string
	count := 0
	err = r.entries(ctx, func(e *format.Entry, parent bool) error {
		if !parent {
			bytes, files = min(bytes+e.Size, 1<<62), files+1 // sizes can be forged
		}
		if r.empty {
			return nil
		}
		target, _ := names.place(e)
		if !r.inTheWay(e, target) {
			return nil
		}
		if count++; len(inTheWay) < 5 {
			inTheWay = append(inTheWay, fmt.Sprintf("%q", e.Path))
		}
		return nil
	})
	if err == nil && count > 0 {
		more := ""
		if count > len(inTheWay) {
			more = fmt.Sprintf(" and %d more", count-len(inTheWay))
		}
		err = fmt.Errorf("%w: %s%s; nothing was written", ErrOccupied, strings.Join(inTheWay, ", "), more)
	}
	return bytes, files, err
}

// inTheWay tells whether something stands where an entry is to go that this restore may not replace. What an interrupted
// restore of the same snapshot has put in place is not in the way.
func (r *restore) inTheWay(e *format.Entry, target string) bool {
	info, err := r.root.Lstat(dot(target))
	switch {
	case err != nil:
		return e.Type == TypeDatabase && !r.c.Overwrite && !r.resume && r.hasSiblings(target)
	case e.Type == TypeDir && info.IsDir():
		return false
	case r.resume && r.inPlace(e, target, info):
		return false
	}
	return !r.c.Overwrite || info.IsDir()
}

// inPlace tells whether something looks like what the entry restores to. A file gets its name and time when it is complete.
func (r *restore) inPlace(e *format.Entry, target string, info fs.FileInfo) bool {
	switch e.Type {
	case TypeFile:
		return isFile(e.Size, e.ModTime, info)
	case TypeDatabase: // beside an old one that is to be replaced are its siblings
		return isFile(e.Size, e.ModTime, info) && !(r.c.Overwrite && r.hasSiblings(target))
	case TypeSymlink:
		old, err := r.root.Readlink(target)
		return err == nil && old == e.Target
	}
	return false
}

func isFile(size int64, modTime time.Time, info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Size() == size && sameTime(info.ModTime(), modTime)
}

// sameTime tells whether a file system may have made a file's time of the one it was given: some keep 100 nanoseconds, some
// two seconds.
func sameTime(of, given time.Time) bool {
	d := of.Sub(given).Abs()
	return d < time.Microsecond || of.Nanosecond() == 0 && d <= 2*time.Second
}

// hasSiblings tells whether files are beside a database that SQLite would take for its.
func (r *restore) hasSiblings(target string) bool {
	for _, sibling := range siblings(target) {
		if _, err := r.root.Lstat(sibling); err == nil {
			return true
		}
	}
	return false
}

// begin makes the target, as far as it is not there, and the private folder in it.
func (r *restore) begin() error {
	err := r.openWork()
	if err == nil {
		err = r.claimWork()
	}
	if err != nil {
		r.retreat()
		return fmt.Errorf("begin the restore: %w", err)
	}
	rules, err := tryRules(r.work)
	if err != nil {
		return fmt.Errorf("begin the restore: %w", err)
	}
	r.names = newPlacer(rules)
	return nil
}

// retreat removes what a restore has made that could not begin, as far as it is empty.
func (r *restore) retreat() {
	if r.work != nil && !r.resume {
		r.root.Remove(workName)
	}
	if r.made && !r.resume {
		os.Remove(r.c.Dir)
	}
}

func (r *restore) openWork() (err error) {
	if r.root == nil {
		if err := os.MkdirAll(r.c.Dir, 0o700); err != nil {
			return err
		}
		if r.root, err = os.OpenRoot(r.c.Dir); err != nil {
			return err
		}
	}
	if err := r.root.Mkdir(workName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := r.root.Lstat(workName); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%w: %q", ErrOccupied, workName)
	}
	if r.work, err = r.root.OpenRoot(workName); err != nil {
		return err
	}
	r.lock, err = r.work.OpenFile(stateName, os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// claimWork locks the private folder, and clears it if what is in it is of no use to this restore.
func (r *restore) claimWork() error {
	claimed, err := claim(r.lock)
	if err == nil && !claimed {
		err = fmt.Errorf("%w: another restore is at work in %s", ErrOccupied, r.c.Dir)
	}
	if err != nil {
		return err
	}
	state, err := io.ReadAll(io.LimitReader(r.lock, 4096))
	if err != nil {
		return err
	}
	if r.interrupted(string(state)) != r.resume {
		return fmt.Errorf("%w: another restore was at work in %s; run again", ErrOccupied, r.c.Dir)
	}
	if r.resume {
		return nil
	}
	if err := r.clearWork(); err != nil {
		return err
	}
	if err := r.writeState(); err != nil {
		r.work.Remove(stateName)
		return err
	}
	return nil
}

func (r *restore) writeState() error {
	if err := r.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := r.lock.WriteAt([]byte(r.state(r.made)), 0); err != nil {
		return err
	}
	return r.lock.Sync()
}

func (r *restore) clearWork() error {
	dir, err := r.work.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if err == nil && name != stateName {
			err = r.work.RemoveAll(name)
		}
	}
	return err
}

func (r *restore) close() {
	r.lock.Close() // takes nil
	if r.work != nil {
		r.work.Close()
	}
	if r.root != nil {
		r.root.Close()
	}
}

// removeWork removes the private folder, and with it the mark of an unfinished restore.
func (r *restore) removeWork() error {
	err := r.clearWork() // the mark goes last: a kill before it is an interrupted restore, one after it leaves an empty folder at most
	r.lock.Close()
	if err == nil {
		err = r.work.Remove(stateName)
	}
	r.work.Close()
	if err == nil {
		err = r.root.Remove(workName)
	}
	if err != nil {
		return fmt.Errorf("everything is restored; remove the left-over folder %s by hand: %w", filepath.Join(r.c.Dir, workName), err)
	}
	return nil
}

// tidy removes the empty private folder of a restore that was killed when all but that was done.
func (r *restore) tidy() {
	if r.root == nil || r.resume {
		return
	}
	if info, err := r.root.Lstat(workName); err == nil && info.IsDir() {
		r.root.Remove(workName) // fails if something is in it
	}
}

func dot(target string) string {
	if target == "" {
		return "."
	}
	return target
}
