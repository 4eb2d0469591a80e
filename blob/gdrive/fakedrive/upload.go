// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	keptMultiple  = 256 << 10 // a session keeps multiples of it, until its end
	maxFileBytes  = 1 << 30
	statusResume  = http.StatusPermanentRedirect // 308, which Google used before RFC 7538 gave it another sense
	statusEndedBy = 499                          // a session that its client ended
)

type session struct {
	mu        sync.Mutex // held while a request reads its body
	metadata  metadata
	grant     grant
	fields    string
	sizeBytes int64
	data      []byte
	made      *file
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, g grant) {
	switch r.URL.Query().Get("uploadType") {
	case "multipart":
		s.uploadMultipart(w, r, g)
	case "resumable":
		if r.URL.Query().Get("upload_id") != "" {
			s.putSession(w, r, g) // Google's client sends POST
			return
		}
		s.startSession(w, r, g)
	default:
		badRequest.write(w)
	}
}

func (s *Server) uploadMultipart(w http.ResponseWriter, r *http.Request, g grant) {
	m, data, err := s.parts(r)
	if err != nil {
		s.abortIfCut(err)
		badRequest.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, fault := s.create(m, data, g)
	if fault != nil {
		fault.write(w)
		return
	}
	answer(w, http.StatusOK, f.fields(r.URL.Query().Get("fields")))
}

func (s *Server) parts(r *http.Request) (m metadata, data []byte, err error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/related" {
		return m, nil, fmt.Errorf("not multipart/related: %v", err)
	}
	parts := multipart.NewReader(s.body(r), params["boundary"])
	first, err := parts.NextPart()
	if err != nil {
		return m, nil, err
	}
	if err := json.NewDecoder(first).Decode(&m); err != nil {
		return m, nil, err
	}
	second, err := parts.NextPart()
	if err != nil {
		return m, nil, err
	}
	data, err = io.ReadAll(second)
	if err == nil {
		_, err = parts.NextPart()
		if err == io.EOF {
			err = nil
		}
	}
	return m, data, err
}

func (s *Server) startSession(w http.ResponseWriter, r *http.Request, g grant) {
	var m metadata
	sizeBytes, err := strconv.ParseInt(r.Header.Get("X-Upload-Content-Length"), 10, 64)
	if err != nil || sizeBytes < 0 || sizeBytes > maxFileBytes || json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m) != nil {
		badRequest.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["upload.start"]++
	if fault := s.check(&m, sizeBytes, g); fault != nil {
		fault.write(w)
		return
	}
	id := newID()
	s.sessions[id] = &session{metadata: m, grant: g, fields: r.URL.Query().Get("fields"), sizeBytes: sizeBytes}
	w.Header().Set("Location", s.URL+"/upload/drive/v3/files?uploadType=resumable&upload_id="+id)
	w.WriteHeader(http.StatusOK)
}

// ForgetSessions ends all upload sessions, as Google does after a week.
func (s *Server) ForgetSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

func (s *Server) putSession(w http.ResponseWriter, r *http.Request, _ grant) {
	s.mu.Lock()
	session := s.sessions[r.URL.Query().Get("upload_id")]
	s.mu.Unlock()
	if session == nil {
		notFound.write(w)
		return
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	first, last, ok := contentRange(r.Header.Get("Content-Range"), session.sizeBytes)
	held := int64(len(session.data))
	switch {
	case session.made != nil:
		answer(w, http.StatusOK, session.made.fields(session.fields))
		return
	case !ok, first > held, last+1 < session.sizeBytes && (last+1-first)%keptMultiple != 0:
		badRequest.write(w)
		return
	}
	if first <= last {
		if err := s.receive(session, r, first); err != nil {
			s.abortIfCut(err)
			return // the client is gone
		}
	}
	if int64(len(session.data)) < session.sizeBytes || first > last && session.sizeBytes > 0 && held < session.sizeBytes {
		if len(session.data) > 0 {
			w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(session.data)-1))
		}
		w.WriteHeader(statusResume)
		return
	}
	s.finish(w, session)
}

// receive takes the bytes from offset first on; those that it holds already it passes over.
func (s *Server) receive(session *session, r *http.Request, first int64) error {
	body := io.LimitReader(s.body(r), session.sizeBytes-first)
	if _, err := io.CopyN(io.Discard, body, int64(len(session.data))-first); err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	session.data = append(session.data, data...)
	if err != nil {
		session.data = session.data[:len(session.data)/keptMultiple*keptMultiple]
	}
	return err
}

func (s *Server) finish(w http.ResponseWriter, session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := session.metadata
	if _, issued := s.ids[m.ID]; !issued {
		s.ids[m.ID] = false // it was picked by check when the session began
	}
	f, fault := s.create(m, session.data, session.grant)
	if fault != nil {
		fault.write(w)
		return
	}
	session.made, session.data = f, nil
	answer(w, http.StatusOK, f.fields(session.fields))
}

// contentRange reads "bytes first-last/size", and "bytes */size" as an empty range.
func contentRange(text string, sizeBytes int64) (first, last int64, ok bool) {
	text, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	if !ok || size != "*" && size != strconv.FormatInt(sizeBytes, 10) {
		return 0, 0, false
	}
	if text == "*" {
		return 0, -1, true
	}
	if _, err := fmt.Sscanf(text, "%d-%d", &first, &last); err != nil || first < 0 || last < first || last >= sizeBytes {
		return 0, 0, false
	}
	return first, last, true
}

// errCut is a connection that the test wants to end.
var errCut = fmt.Errorf("the upload is cut")

func (s *Server) abortIfCut(err error) {
	if err == errCut {
		panic(http.ErrAbortHandler) // ends the connection without an answer
	}
}

// body counts an upload's bytes and cuts it where a test says so.
func (s *Server) body(r *http.Request) io.Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &cutter{s: s, r: r.Body, left: -1}
	if len(s.b.CutUploads) > 0 {
		c.left, s.b.CutUploads = s.b.CutUploads[0], s.b.CutUploads[1:]
	}
	return c
}

type cutter struct {
	s    *Server
	r    io.Reader
	left int64 // until the cut; negative: none
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errCut
	}
	if c.left > 0 {
		p = p[:min(int64(len(p)), c.left)]
	}
	n, err := c.r.Read(p)
	if c.left > 0 {
		c.left -= int64(n)
	}
	c.s.mu.Lock()
	c.s.uploaded += int64(n)
	c.s.mu.Unlock()
	return n, err
}
