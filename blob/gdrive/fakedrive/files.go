// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	folderType   = "application/vnd.google-apps.folder"
	appData      = "appDataFolder"
	scopeAppData = "https://www.googleapis.com/auth/drive.appdata"
	scopeFile    = "https://www.googleapis.com/auth/drive.file"
)

type file struct {
	metadata
	client  string // whose appDataFolder, and with drive.file who may see it
	data    []byte
	created time.Time
	visible time.Time // in lists
	trashed bool
	deleted time.Time // zero while it lives
	number  int       // in the order in which they were made
}

// metadata is what a client may say of a file that it makes.
type metadata struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	MimeType      string            `json:"mimeType"`
	Parents       []string          `json:"parents"`
	AppProperties map[string]string `json:"appProperties"`
}

// File is a file as a test sees it.
type File struct {
	ID, Name, Parent string
	Data             []byte
	Created          time.Time
}

// Files returns all living files, folders too, as they were made.
func (s *Server) Files() (all []File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	living := slices.SortedFunc(maps.Values(s.files), func(a, b *file) int { return cmp.Compare(a.number, b.number) })
	for _, f := range living {
		all = append(all, File{f.ID, f.Name, f.Parents[0], f.data, f.created})
	}
	return all
}

// Add makes a file beside others of its name, as another device would: a copy of the file of this id, with other bytes and another time.
func (s *Server) Add(like string, data []byte, created time.Time) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := *s.files[like]
	f.ID, f.data, f.created, f.visible = newID(), data, created.UTC().Truncate(time.Millisecond), time.Time{}
	s.keep(&f)
	return f.ID
}

// Trash moves a file to the trash.
func (s *Server) Trash(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[id].trashed = true
}

// Damage replaces what a file holds.
func (s *Server) Damage(id string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[id].data = data
}

func (s *Server) keep(f *file) {
	s.files[f.ID] = f
	s.byName[f.Name] = append(s.byName[f.Name], f)
	s.made++
	f.number = s.made
	s.ids[f.ID] = true
}

// create makes a file. s.mu is held.
func (s *Server) create(m metadata, data []byte, g grant) (*file, *fault) {
	if fault := s.check(&m, int64(len(data)), g); fault != nil {
		return nil, fault
	}
	created := time.Now().UTC().Truncate(time.Millisecond)
	f := &file{metadata: m, client: g.client, data: data, created: created, visible: created.Add(time.Millisecond + s.b.ListDelay)}
	s.keep(f)
	return f, nil
}

// check refuses what create would, and completes m.
func (s *Server) check(m *metadata, sizeBytes int64, g grant) *fault {
	switch used, issued := s.ids[m.ID]; {
	case m.ID == "":
		m.ID = newID()
	case used:
		return idUsed
	case !issued:
		return idUnknown
	}
	switch len(m.Parents) {
	case 0:
		m.Parents = []string{"root"}
	case 1:
	default:
		return badRequest
	}
	switch parent := m.Parents[0]; {
	case parent == appData && !g.has(scopeAppData), parent != appData && !g.has(scopeFile):
		return noSpace
	case parent != appData && parent != "root":
		if f := s.files[parent]; f == nil || f.MimeType != folderType || !f.living() {
			return noParent
		}
	}
	if m.MimeType == "" {
		m.MimeType = "application/octet-stream"
	}
	if s.b.QuotaBytes > 0 && s.used()+sizeBytes > s.b.QuotaBytes {
		return quotaUsed
	}
	for key, value := range m.AppProperties {
		if len(key)+len(value) > 124 {
			return badRequest
		}
	}
	return nil
}

func (s *Server) used() (sizeBytes int64) {
	for _, f := range s.files {
		sizeBytes += int64(len(f.data))
	}
	return sizeBytes
}

func (f *file) living() bool { return f.deleted.IsZero() && !f.trashed }

func (f *file) inList(now time.Time, delay time.Duration) bool {
	return !f.visible.After(now) && (f.deleted.IsZero() || now.Before(f.deleted.Add(delay)))
}

// mayBeSeen keeps each client in its own appDataFolder, and with drive.file to its own files.
func (f *file) mayBeSeen(g grant) bool {
	return f.client == g.client && (f.Parents[0] == appData && g.has(scopeAppData) || f.Parents[0] != appData && g.has(scopeFile))
}

func (f *file) fields(names string) map[string]any {
	if names == "" {
		names = "kind,id,name,mimeType"
	}
	all := map[string]any{
		"kind": "drive#file", "id": f.ID, "name": f.Name, "mimeType": f.MimeType, "parents": f.Parents, "trashed": f.trashed,
		"appProperties": f.AppProperties, "createdTime": f.created.Format("2006-01-02T15:04:05.000Z"),
	}
	if f.MimeType != folderType {
		all["size"] = strconv.Itoa(len(f.data))
	}
	if f.MimeType != folderType && strings.Contains(names, "Checksum") {
		sum5, sum256 := md5.Sum(f.data), sha256.Sum256(f.data)
		all["md5Checksum"], all["sha256Checksum"] = hex.EncodeToString(sum5[:]), hex.EncodeToString(sum256[:])
	}
	wanted := map[string]any{}
	for name := range strings.SplitSeq(names, ",") {
		if value, ok := all[name]; ok || names == "*" {
			wanted[name] = value
		}
	}
	return wanted
}
