// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) list(w http.ResponseWriter, r *http.Request, g grant) {
	form := r.URL.Query()
	spaces, fields := form.Get("spaces"), form.Get("fields")
	if spaces == appData && !g.has(scopeAppData) || (spaces == "" || spaces == "drive") && !g.has(scopeFile) {
		noSpace.write(w)
		return
	}
	q, ok := parseQuery(form.Get("q"))
	after, err := base64.RawURLEncoding.DecodeString(form.Get("pageToken"))
	if !ok || err != nil {
		badRequest.write(w)
		return
	}
	page, next := s.page(q.name, func(f *file) bool {
		return q.match(f) && f.mayBeSeen(g) && (f.Parents[0] == appData) == (spaces == appData)
	}, form.Get("orderBy") == "createdTime", string(after), pageSize(form.Get("pageSize")))

	perFile := ""
	if _, rest, ok := strings.Cut(fields, "files("); ok {
		perFile, _, _ = strings.Cut(rest, ")")
	}
	files := []any{}
	for _, f := range page {
		files = append(files, f.fields(perFile))
	}
	list := map[string]any{"files": files, "incompleteSearch": false}
	if next != "" && (fields == "" || strings.Contains(fields, "nextPageToken")) {
		list["nextPageToken"] = base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	answer(w, http.StatusOK, list)
}

func pageSize(text string) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 {
		return min(n, 1000)
	}
	return 100
}

// page returns those that match beyond the key after, and the key of the last if there are more. Without byTime they come in no useful order. A name
// is an index into the files; "" looks at all.
func (s *Server) page(name string, match func(*file) bool, byTime bool, after string, size int) (page []*file, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := func(f *file) string {
		if byTime {
			return f.created.Format("2006-01-02T15:04:05.000Z") + f.ID
		}
		return f.ID
	}
	now := time.Now()
	look := func(f *file) {
		if f.inList(now, s.b.ListDelay) && match(f) && key(f) > after {
			copied := *f // the data is never changed, only replaced
			page = append(page, &copied)
		}
	}
	if name != "" {
		for _, f := range s.byName[name] {
			look(f)
		}
	} else {
		s.forgetDeleted(now)
		for _, files := range s.byName {
			for _, f := range files {
				look(f)
			}
		}
	}
	slices.SortFunc(page, func(a, b *file) int { return cmp.Compare(key(a), key(b)) })
	if s.b.PageSize > 0 {
		size = min(size, s.b.PageSize)
	}
	if len(page) > size {
		page = page[:size]
		next = key(page[size-1])
	}
	return page, next
}

func (s *Server) forgetDeleted(now time.Time) {
	for name, files := range s.byName {
		files = slices.DeleteFunc(files, func(f *file) bool { return !f.deleted.IsZero() && !f.inList(now, s.b.ListDelay) })
		if s.byName[name] = files; len(files) == 0 {
			delete(s.byName, name)
		}
	}
}
