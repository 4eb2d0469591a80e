// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/drive/v3"

	"github.com/coffer-backup/coffer/blob"
)

// entry is one file that holds an object, or would if an older one did not.
type entry struct {
	id, name  string
	sizeBytes int64
	created   time.Time
}

const entryFields = "id,name,mimeType,size,createdTime"

// parseEntry reads what the server says of a file.
func parseEntry(f *drive.File) (entry, error) {
	created, err := time.Parse(time.RFC3339, f.CreatedTime)
	if err != nil || !validID(f.Id) || f.Size < 0 {
		return entry{}, nonsense("a file with id %.64q, size %d and time %.64q", f.Id, f.Size, f.CreatedTime)
	}
	return entry{f.Id, f.Name, f.Size, created}, nil
}

func (e entry) info() blob.Info {
	return blob.Info{Name: e.name, SizeBytes: e.sizeBytes, ModTime: e.created}
}

// older orders the files of one name: the first is the object. All readers and writers compute it from what all see alike.
func older(a, b entry) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
}

// validID bounds what goes into addresses and memory. Drive's ids are opaque, and of these characters.
func validID(id string) bool {
	return len(id) > 0 && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

// check compares what the server says that it stored with what was sent.
func check(f *drive.File, id, name string, data []byte) (entry, error) {
	e, err := parseEntry(f)
	if err != nil {
		return entry{}, err
	}
	sum256, err256 := hex.DecodeString(f.Sha256Checksum)
	sum5, err5 := hex.DecodeString(f.Md5Checksum)
	same := e.id == id && e.name == name && e.sizeBytes == int64(len(data)) && err256 == nil && err5 == nil
	switch {
	case len(sum256) > 0:
		want := sha256.Sum256(data)
		same = same && bytes.Equal(sum256, want[:])
	case len(sum5) > 0: // Drive has it for all files, SHA-256 for most
		want := md5.Sum(data)
		same = same && bytes.Equal(sum5, want[:])
	default:
		same = false
	}
	if !same {
		return entry{}, nonsense("it stored other bytes than were sent (%d of %d)", e.sizeBytes, len(data))
	}
	return e, nil
}

// properties make the files below each folder of a name one query. Their values are hashes, because a name's folders can be longer than a property.
func properties(name string) map[string]string {
	all := map[string]string{}
	for i, c := range []byte(name) {
		if c == '/' {
			key, value := property(name[:i])
			all[key] = value
		}
	}
	return all
}

func property(folder string) (key, value string) {
	sum := sha256.Sum256([]byte(folder))
	return "coffer" + strconv.Itoa(1+strings.Count(folder, "/")), hex.EncodeToString(sum[:16])
}

// Terms of queries. Names and ids have no character that must be escaped in one, but folders' names have.
func isName(name string) string { return fmt.Sprintf("name = '%s'", escape.Replace(name)) }
func isIn(parent string) string { return fmt.Sprintf("'%s' in parents and trashed = false", parent) }
func isBelow(folder string) string {
	key, value := property(folder)
	return fmt.Sprintf("appProperties has { key='%s' and value='%s' }", key, value)
}

var escape = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
