// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive"
)

// listing prints a list as it comes, so that a long one needs no memory: lines of text, or
// one JSON object with an array in it.
type listing struct {
	a     *app
	items int
}

// begin starts a list; head is what stands before the array, as a JSON object.
func (a *app) begin(array string, head map[string]any) (*listing, error) {
	if !a.cli.JSON {
		return &listing{a: a}, nil
	}
	a.answered = true
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	before := strings.TrimSuffix(string(text), "}")
	if len(head) > 0 {
		before += ","
	}
	fmt.Fprintf(a.out, "%s%q:[", before, array)
	return &listing{a: a}, nil
}

// add prints one item, in the form that was asked for.
func (l *listing) add(line string, item any) error {
	l.items++
	if !l.a.cli.JSON {
		_, err := fmt.Fprintln(l.a.out, line)
		return err
	}
	text, err := json.Marshal(item)
	if err != nil {
		return err
	}
	if l.items > 1 {
		l.a.out.WriteByte(',')
	}
	_, err = fmt.Fprintf(l.a.out, "\n%s", text)
	return err
}

// end closes the document, and says in it if the list broke off.
func (l *listing) end(err error) error {
	if l.a.cli.JSON {
		l.a.out.WriteString("]")
		if text, jsonErr := json.Marshal(l.a.warned); len(l.a.warned) > 0 && jsonErr == nil {
			fmt.Fprintf(l.a.out, `,"notices":%s`, text)
		}
		if err != nil {
			code, cause, todo := l.a.judge(err)
			if text, jsonErr := json.Marshal(jsonError{code, cause, escaped(err.Error()), todo}); jsonErr == nil {
				fmt.Fprintf(l.a.out, `,"error":%s`, text)
			}
		}
		l.a.out.WriteString("}\n")
	}
	return err
}

type jsonEntry struct {
	jsonPath
	Type    string    `json:"type"` // dir, file, symlink, database
	Mode    string    `json:"mode"` // octal
	ModTime time.Time `json:"mtime"`
	Size    int64     `json:"size"`
	Target  *jsonPath `json:"target,omitempty"` // of a symbolic link
}

var typeWords = map[archive.EntryType]string{
	archive.TypeDir: "dir", archive.TypeFile: "file", archive.TypeSymlink: "symlink", archive.TypeDatabase: "database",
}

func entryJSON(e archive.Entry) jsonEntry {
	j := jsonEntry{jsonPath: pathJSON(e.Path), Type: typeWords[e.Type], Mode: fmt.Sprintf("%04o", e.Mode), ModTime: e.ModTime, Size: e.Size}
	if e.Type == archive.TypeSymlink {
		target := pathJSON(e.Target)
		j.Target = &target
	}
	return j
}

func entryLine(e archive.Entry) string {
	mode, size, name := fs.FileMode(e.Mode&0o777), byteSize(e.Size), printable(e.Path)
	switch {
	case e.Mode&0o4000 != 0:
		mode |= fs.ModeSetuid
	case e.Mode&0o2000 != 0:
		mode |= fs.ModeSetgid
	case e.Mode&0o1000 != 0:
		mode |= fs.ModeSticky
	}
	switch e.Type {
	case archive.TypeDir:
		mode, size, name = mode|fs.ModeDir, "", name+"/"
	case archive.TypeSymlink:
		mode, size, name = mode|fs.ModeSymlink, "", name+" -> "+printable(e.Target)
	}
	return fmt.Sprintf("%-10s %8s  %s  %s", mode, size, clock(e.ModTime), name)
}

// cleanPath turns a path as people type it into one of a snapshot: no dots, no slash at either end.
func cleanPath(p string) (string, error) {
	p = filepath.ToSlash(p)
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", usagef("%s: a path in a snapshot begins at the chat store and has no ..", printable(p))
	}
	return strings.TrimPrefix(path.Clean("/"+p), "/"), nil
}
