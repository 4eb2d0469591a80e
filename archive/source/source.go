// SPDX-License-Identifier: Apache-2.0

// Package source reads a chat store: a folder tree that an application goes on using meanwhile.
//
// It guarantees that nothing in the tree is changed, that symbolic links are reported and never followed, and that the Stat of
// what was opened is its own, not that of what was listed. It trusts neither names nor sizes nor types to stay what they were.
// It refuses, by reporting them, sockets, pipes and devices.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Type says what a path is.
type Type byte

const (
	Dir     Type = 'd'
	File    Type = 'f'
	Symlink Type = 'l'
	Other   Type = 'o' // socket, pipe, device
)

// Stat is what tells an unchanged file. Two equal Stats of a path, both older than the moment they were taken by more than
// the file system's clock step, mean equal contents.
type Stat struct {
	Size       int64
	Mode       uint32 // permission bits 0o777, setuid 0o4000, setgid 0o2000, sticky 0o1000
	ModTime    time.Time
	ChangeTime time.Time // zero where the system has none
	Inode      uint64    // 0 where the system has none
	Sparse     bool      // takes less room than its size
}

// Same reports whether nothing that a write changes is different.
func (s Stat) Same(t Stat) bool {
	return s.Size == t.Size && s.ModTime.Equal(t.ModTime) && s.ChangeTime.Equal(t.ChangeTime) && s.Inode == t.Inode
}

// Settled reports whether the file was last touched clearly before a moment, so that a later write cannot have left the
// Stat as it is. File systems' clocks step by up to two seconds (FAT).
func (s Stat) Settled(before time.Time) bool {
	limit := before.Add(-2 * time.Second)
	return s.ModTime.Before(limit) && s.ChangeTime.Before(limit)
}

// Fresh reports whether the file was changed so shortly before now, when the Stat was taken, that a further change may leave
// the Stat as it is: file systems' clocks step by some milliseconds, and what a write changes bears the time of its beginning.
func (s Stat) Fresh(now time.Time) bool {
	changed := s.ChangeTime
	if changed.IsZero() {
		changed = s.ModTime
	}
	age := now.Sub(changed)
	return age >= 0 && age < 50*time.Millisecond
}

// Item is one path of the tree.
type Item struct {
	Path   string // slash-separated, relative to the tree; "" is the tree itself
	Type   Type
	Stat   Stat
	Target string // of a symbolic link
}

// Tree is an opened source.
type Tree struct {
	root    string
	exclude []pattern
}

// Open opens the folder at root. exclude holds patterns of what to leave out; empty ones and those that begin with # are
// comments, as in a file of patterns.
func Open(root string, exclude []string) (*Tree, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil { // from here on no link is followed
		abs = real
	}
	if info, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("open the source: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open the source: %s is not a folder", abs)
	}
	t := &Tree{root: abs}
	for _, text := range exclude {
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		t.exclude = append(t.exclude, p)
	}
	return t, nil
}

// FullPath returns where a path of the tree is on this machine.
func (t *Tree) FullPath(path string) string {
	if path == "" {
		return t.root
	}
	return t.root + string(filepath.Separator) + filepath.FromSlash(path)
}

// Walk calls visit for the tree itself and for all below it that is not excluded, each folder before its contents, siblings
// by the bytes of their names. What cannot be read is visited with an error instead of its contents. It ends at visit's first
// error, or ctx's.
func (t *Tree) Walk(ctx context.Context, visit func(Item, error) error) error {
	info, err := os.Lstat(t.root)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder any more", t.root)
	}
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	return t.walk(ctx, item("", info), visit)
}

func (t *Tree) walk(ctx context.Context, it Item, visit func(Item, error) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if it.Type != Dir {
		return t.visitLeaf(it, visit)
	}
	names, err := readNames(t.FullPath(it.Path))
	if err != nil {
		if it.Path == "" {
			return fmt.Errorf("read the source: %w", err)
		}
		return visit(it, err)
	}
	if err := visit(it, nil); err != nil {
		return err
	}
	for _, name := range names {
		path := name
		if it.Path != "" {
			path = it.Path + "/" + name
		}
		info, err := os.Lstat(t.FullPath(path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone since the folder was read: as if it had gone a moment earlier
		case err != nil:
			err = visit(Item{Path: path, Type: Other}, err)
		default:
			if child := item(path, info); !t.excluded(child) {
				err = t.walk(ctx, child, visit)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) visitLeaf(it Item, visit func(Item, error) error) (err error) {
	if it.Type == Symlink {
		it.Target, err = os.Readlink(t.FullPath(it.Path))
	}
	return visit(it, err)
}

// readNames returns the sorted names in a folder.
func readNames(dir string) ([]string, error) {
	f, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func item(path string, info fs.FileInfo) Item {
	it := Item{Path: path, Type: Other, Stat: statOf(info)}
	switch {
	case info.IsDir():
		it.Type = Dir
	case info.Mode().IsRegular():
		it.Type = File
	case info.Mode().Type() == fs.ModeSymlink:
		it.Type = Symlink
	}
	return it
}

func statOf(info fs.FileInfo) Stat {
	m := info.Mode()
	s := Stat{Size: info.Size(), Mode: uint32(m.Perm()), ModTime: info.ModTime()}
	if m&fs.ModeSetuid != 0 {
		s.Mode |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		s.Mode |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		s.Mode |= 0o1000
	}
	s.system(info)
	return s
}

// OpenFile opens a regular file for reading, without following links and without waiting for a pipe. The Stat is of what was
// opened. Where the system offers no way for it (Windows, Android), links in place of a folder are followed.
func (t *Tree) OpenFile(path string) (*os.File, Stat, error) {
	f, err := open(t.FullPath(path))
	if err != nil {
		return nil, Stat{}, err
	}
	s, err := FileStat(f)
	if err != nil {
		f.Close()
		return nil, Stat{}, err
	}
	return f, s, nil
}

// ErrNotRegular says that a path is no regular file any more.
var ErrNotRegular = errors.New("not a regular file any more")

// FileStat returns the Stat of an open file.
func FileStat(f *os.File) (Stat, error) {
	info, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	if !info.Mode().IsRegular() {
		return Stat{}, ErrNotRegular
	}
	return statOf(info), nil
}

// Lstat returns the Stat of a path, or the zero Stat if there is no regular file.
func (t *Tree) Lstat(path string) Stat {
	info, err := os.Lstat(t.FullPath(path))
	if err != nil || !info.Mode().IsRegular() {
		return Stat{}
	}
	return statOf(info)
}

func (t *Tree) excluded(it Item) bool {
	return slices.ContainsFunc(t.exclude, func(p pattern) bool { return p.matches(it.Path, it.Type == Dir) })
}
