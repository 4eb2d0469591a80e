// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const sqliteMagic = "SQLite format 3\x00"

// Compare returns the differences between what two folders hold, A and B, in
// the order of the paths; each names the quoted path, the kind of the
// difference and both sides. It looks at type, permission bits, times of files
// and folders, targets of symbolic links, and bytes. Of the folders
// themselves it looks at nothing.
//
// Databases are held to what SQLite's online backup keeps: bytes 24–27, 40–43
// and 92–99 of their headers are left out, as are a -wal and -shm beside one
// and, where such a file is, the time of the folder.
func Compare(dirA, dirB string) ([]string, error) {
	c := comparison{dirs: [2]string{dirA, dirB}, buf: [2][]byte{make([]byte, 256<<10), make([]byte, 256<<10)}}
	if _, err := c.folder("."); err != nil {
		return nil, fmt.Errorf("chatgen: %w", err)
	}
	return c.found, nil
}

type comparison struct {
	dirs  [2]string
	buf   [2][]byte
	found []string
}

func (c *comparison) report(name, kind string, a, b any) {
	c.found = append(c.found, fmt.Sprintf("%q: %s: %v / %v", name, kind, a, b))
}

// paths returns where a path of the trees lies in each of them.
func (c *comparison) paths(name string) [2]string {
	return [2]string{filepath.Join(c.dirs[0], filepath.FromSlash(name)), filepath.Join(c.dirs[1], filepath.FromSlash(name))}
}

// folder compares what is in a folder of both trees and says whether one of
// them has a database at work in it.
func (c *comparison) folder(name string) (live bool, err error) {
	var infos [2]map[string]fs.FileInfo
	var names []string
	for i, dir := range c.paths(name) {
		var working bool
		if infos[i], working, err = list(dir); err != nil {
			return false, err
		}
		live = live || working
		for n := range infos[i] {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		a, b := infos[0][n], infos[1][n]
		switch n := path.Join(name, n); {
		case a == nil:
			c.report(n, "exists", false, true)
		case b == nil:
			c.report(n, "exists", true, false)
		default:
			if err := c.entry(n, a, b); err != nil {
				return false, err
			}
		}
	}
	return live, nil
}

// list returns the entries of a folder without the files that SQLite keeps
// beside a database at work, and whether there were any.
func list(dir string) (infos map[string]fs.FileInfo, live bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false, err
	}
	infos = make(map[string]fs.FileInfo, len(entries))
	for _, e := range entries {
		if isSidecar(dir, e.Name()) {
			live = true
			continue
		}
		if infos[e.Name()], err = e.Info(); err != nil {
			return nil, false, err
		}
	}
	return infos, live, nil
}

func isSidecar(dir, name string) bool {
	for _, suffix := range []string{"-wal", "-shm"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && isDatabase(filepath.Join(dir, base)) {
			return true
		}
	}
	return false
}

func isDatabase(file string) bool {
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, len(sqliteMagic))
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == sqliteMagic
}

// entry compares two things of one name.
func (c *comparison) entry(name string, a, b fs.FileInfo) error {
	if a.Mode().Type() != b.Mode().Type() {
		c.report(name, "type", a.Mode(), b.Mode())
		return nil
	}
	if a.Mode()&fs.ModeSymlink != 0 {
		return c.link(name)
	}
	if a.Mode() != b.Mode() {
		c.report(name, "permissions", a.Mode(), b.Mode())
	}
	live := false
	var err error
	if a.IsDir() {
		live, err = c.folder(name)
	} else if a.Mode().IsRegular() {
		err = c.bytes(name, a.Size(), b.Size())
	}
	if !live && !a.ModTime().Equal(b.ModTime()) {
		c.report(name, "mtime", a.ModTime().UTC().Format(time.RFC3339Nano), b.ModTime().UTC().Format(time.RFC3339Nano))
	}
	return err
}

func (c *comparison) link(name string) error {
	var targets [2]string
	for i, p := range c.paths(name) {
		var err error
		if targets[i], err = os.Readlink(p); err != nil {
			return err
		}
	}
	if targets[0] != targets[1] {
		c.report(name, "target", targets[0], targets[1])
	}
	return nil
}

func (c *comparison) bytes(name string, sizeA, sizeB int64) error {
	if sizeA != sizeB {
		c.report(name, "size", sizeA, sizeB)
		return nil
	}
	var files [2]*os.File
	for i, p := range c.paths(name) {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	for offset := int64(0); ; {
		var n [2]int
		for i, f := range files {
			var err error
			if n[i], err = io.ReadFull(f, c.buf[i]); err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
		}
		a, b := c.buf[0][:n[0]], c.buf[1][:n[1]]
		if offset == 0 && bytes.HasPrefix(a, []byte(sqliteMagic)) && bytes.HasPrefix(b, []byte(sqliteMagic)) {
			forgetBackup(a)
			forgetBackup(b)
		}
		if !bytes.Equal(a, b) {
			c.report(name, "bytes", "differ", fmt.Sprintf("from offset %d", offset+int64(firstDifference(a, b))))
			return nil
		}
		if len(a) < len(c.buf[0]) {
			return nil
		}
		offset += int64(len(a))
	}
}

// forgetBackup clears what SQLite's online backup changes in a database's
// first page: the change counter, the schema cookie, the version-valid-for number, and the version of SQLite.
func forgetBackup(page []byte) {
	for _, at := range []int{24, 40, 92, 96} {
		if at+4 <= len(page) {
			clear(page[at : at+4])
		}
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
