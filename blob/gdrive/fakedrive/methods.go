// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

func (s *Server) find(id string, g grant) (file, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[id]
	if !ok || !f.mayBeSeen(g) {
		return file{}, false
	}
	return *f, true
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, g grant) {
	f, ok := s.find(r.PathValue("id"), g)
	switch {
	case !ok:
		notFound.write(w)
	case r.FormValue("alt") == "media":
		w.Header().Set("Content-Type", f.MimeType)
		http.ServeContent(w, r, "", f.created, bytes.NewReader(f.data))
	default:
		answer(w, http.StatusOK, f.fields(r.FormValue("fields")))
	}
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, g grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[r.PathValue("id")]
	if !ok || !f.mayBeSeen(g) {
		notFound.write(w)
		return
	}
	f.deleted = time.Now()
	delete(s.files, f.ID)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) createEmpty(w http.ResponseWriter, r *http.Request, g grant) {
	var m metadata
	if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m) != nil {
		badRequest.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, fault := s.create(m, nil, g)
	if fault != nil {
		fault.write(w)
		return
	}
	answer(w, http.StatusOK, f.fields(r.FormValue("fields")))
}

func (s *Server) generateIDs(w http.ResponseWriter, r *http.Request, _ grant) {
	count, err := strconv.Atoi(r.FormValue("count"))
	if err != nil || count < 1 || count > 1000 {
		badRequest.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, count)
	for i := range ids {
		ids[i] = newID()
		s.ids[ids[i]] = false
	}
	answer(w, http.StatusOK, map[string]any{"kind": "drive#generatedIds", "space": r.FormValue("space"), "ids": ids})
}

func (s *Server) about(w http.ResponseWriter, r *http.Request, _ grant) {
	if r.FormValue("fields") == "" {
		badRequest.write(w) // about.get demands it
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	quota := map[string]any{"usage": strconv.FormatInt(s.used(), 10)}
	if s.b.QuotaBytes > 0 {
		quota["limit"] = strconv.FormatInt(s.b.QuotaBytes, 10)
	}
	answer(w, http.StatusOK, map[string]any{"storageQuota": quota})
}
