// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// A pattern names paths to leave out, much as a line of .gitignore does: "*" stays within a name, "**" spans folders, "[a-z]"
// and "{a,b}" work as usual. Without a slash, other than at its end, it matches a name at any depth; with one, it is relative to
// the source. A slash at the end makes it match folders only. What is below an excluded folder is excluded. There is no
// negation.
type pattern struct {
	glob    string
	dirOnly bool
}

func parsePattern(text string) (pattern, error) {
	p := pattern{}
	glob, dirOnly := strings.CutSuffix(text, "/")
	p.dirOnly = dirOnly
	switch {
	case strings.HasPrefix(text, "!"):
		return p, fmt.Errorf("exclude pattern %q: patterns that begin with ! are not supported; write \\! for a name that does", text)
	case strings.Contains(glob, "/"):
		p.glob = strings.TrimPrefix(glob, "/")
	default:
		p.glob = "**/" + glob
	}
	if glob == "" || !doublestar.ValidatePattern(p.glob) {
		return p, fmt.Errorf("exclude pattern %q is malformed", text)
	}
	return p, nil
}

func (p pattern) matches(path string, isDir bool) bool {
	return (isDir || !p.dirOnly) && path != "" && doublestar.MatchUnvalidated(p.glob, path)
}

// A DatabaseGlob names databases without the SQLite magic, such as SQLCipher's, by a pattern and a page size in bytes.
type DatabaseGlob struct {
	pattern
	PageSize uint32
}

// ParseDatabaseGlob reads GLOB[:PAGESIZE]. The page size is a power of two from 512 to 65536; 4096 if it is not given.
func ParseDatabaseGlob(text string) (DatabaseGlob, error) {
	glob, size := text, uint32(4096)
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		n, err := strconv.ParseUint(text[i+1:], 10, 32)
		if err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
			return DatabaseGlob{}, fmt.Errorf("database %q: the page size must be a power of two from 512 to 65536", text)
		}
		glob, size = text[:i], uint32(n)
	}
	p, err := parsePattern(glob)
	if err != nil {
		return DatabaseGlob{}, fmt.Errorf("database %q: %w", text, err)
	}
	return DatabaseGlob{p, size}, nil
}

// Matches reports whether the file at path is such a database.
func (g DatabaseGlob) Matches(path string) bool { return g.matches(path, false) }
