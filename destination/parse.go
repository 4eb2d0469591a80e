// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coffer-backup/coffer"
)

// maxTextBytes bounds a text.
const maxTextBytes = 4096

// maxPathBytes bounds the path in a text of a cloud, so that the names of objects still fit behind it everywhere.
const maxPathBytes = 400

// No refusal repeats what is refused: it may be a password.

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", coffer.ErrDestination, fmt.Sprintf(format, args...))
}

// errSecret is for a text with a secret in it, or where one may have been meant.
func errSecret(kind string) error {
	return refuse("the text has a password or a key in it, or a character that must be escaped; secrets are never part of a text: "+
		"name the place alone, as in %s, and coffer destination add asks for the rest", examples[kind])
}

var examples = map[string]string{
	"s3":           "s3://BUCKET/PREFIX?endpoint=HOST&region=REGION",
	"webdav+https": "webdav+https://USER@HOST/PATH",
	"webdav+http":  "webdav+http://USER@localhost/PATH",
	"gdrive":       "gdrive:FOLDER",
	"icloud":       "icloud:FOLDER",
	"rclone":       "rclone:REMOTE:PATH",
}

// parsers read what stands behind the word and the colon.
var parsers = map[string]func(rest string) (Location, error){
	"s3":           parseS3,
	"webdav+https": func(rest string) (Location, error) { return parseWebDAV(rest, false) },
	"webdav+http":  func(rest string) (Location, error) { return parseWebDAV(rest, true) },
	"gdrive":       parseDrive,
	"icloud":       parseICloud,
	"rclone":       parseRclone,
}

// scheme is how a URL begins. One letter alone is a drive of Windows.
var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+://`)

// Parse understands a text. What begins with none of the known words is the path of a folder; ./ before it keeps a
// path from being taken for something else.
//
// Errors wrap coffer.ErrDestination and repeat nothing of the text.
func Parse(text string) (Location, error) {
	if text == "" {
		return nil, refuse("the text is empty; give the path of a folder, or see coffer help destinations")
	}
	if len(text) > maxTextBytes {
		return nil, refuse("the text is longer than %d bytes", maxTextBytes)
	}
	word, rest, cut := strings.Cut(text, ":")
	word = strings.ToLower(word)
	if parse, ok := parsers[word]; ok && cut {
		return parse(rest)
	}
	if scheme.MatchString(text) {
		return nil, refuseScheme(word)
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return nil, refuse("the current folder is not known: %v", err)
	}
	return Folder{path}, nil
}

// refuseScheme says what the writer of another program's text may have meant.
func refuseScheme(word string) error {
	switch word {
	case "http", "https", "webdav", "webdavs", "dav", "davs":
		return refuse("a WebDAV server is named by webdav+https://USER@HOST/PATH")
	case "file":
		return refuse("a folder is named by its path alone, without file://")
	case "sftp", "ssh", "ftp", "smb", "b2", "azure", "gs", "swift":
		return refuse("this place can be reached by rclone: set it up there (rclone config), and name it rclone:REMOTE:PATH")
	}
	return refuse("the text begins with none of the words that are known; give the path of a folder, or see coffer help destinations")
}

// checkPath refuses what some provider could not hold, or would take for another place.
func checkPath(path string) error {
	switch {
	case len(path) > maxPathBytes:
		return refuse("the path at the destination is longer than %d bytes", maxPathBytes)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' }):
		return refuse("the path at the destination has a control character, a backslash, or is not UTF-8")
	}
	for element := range strings.SplitSeq(path, "/") {
		if element == "" || element == "." || element == ".." || strings.TrimSpace(element) != element {
			return refuse("the path at the destination has an element that is empty, . or .., or begins or ends with a space")
		}
	}
	return nil
}

// cloudPath reads a path that begins at the destination's own root.
func cloudPath(text string) (string, error) {
	path := strings.Trim(text, "/")
	if path == "" {
		return "", nil
	}
	return path, checkPath(path)
}

func parseDrive(rest string) (Location, error) {
	if strings.HasPrefix(rest, "//") {
		return nil, refuse("write %s, without slashes", examples["gdrive"])
	}
	folder, err := cloudPath(rest)
	if err != nil {
		return nil, err
	}
	return Drive{folder}, nil
}

func parseICloud(rest string) (Location, error) {
	if strings.HasPrefix(rest, "//") {
		return nil, refuse("write %s, without slashes", examples["icloud"])
	}
	folder, err := cloudPath(rest)
	if err != nil {
		return nil, err
	}
	return ICloud{folder}, nil
}

// remoteName is what rclone takes for the name of a remote. Without this check a text could hold rclone's settings, and so a password.
var remoteName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,99}$`)

func parseRclone(rest string) (Location, error) {
	remote, path, ok := strings.Cut(rest, ":")
	if !ok || !remoteName.MatchString(remote) {
		return nil, refuse("write %s, with the name that the remote has in rclone's configuration (rclone listremotes); settings and secrets stay there", examples["rclone"])
	}
	root := ""
	if strings.HasPrefix(path, "/") { // which means another place than without, on servers with homes
		root = "/"
	}
	path, err := cloudPath(path)
	if err != nil {
		return nil, err
	}
	return Rclone{remote, root + path}, nil
}
