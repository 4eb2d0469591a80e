// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	keptMultiple = 256 << 10 // a session keeps multiples of it, until its end
	maxFileBytes = 1 << 30
	statusResume = http.StatusPermanentRedirect // 308, which Google used before RFC 7538 gave it another sense
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

func (s *Server) startSession(w http.ResponseWriter, r *http.Request, g grant) {
	var m metadata
	sizeBytes := int64(unknown)
	if text := r.Header.Get("X-Upload-Content-Length"); text != "" {
		n, err := strconv.ParseUint(text, 10, 62)
		if err != nil || n > maxFileBytes {
			badRequest.write(w)
			return
		}
		sizeBytes = int64(n)
	}
	if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m) != nil {
		badRequest.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["upload.start"]++
	if fault := s.check(&m, max(0, sizeBytes), g); fault != nil {
		fault.write(w)
		return
	}
	id := newID()
	s.sessions[id] = &session{metadata: m, grant: g, fields: r.URL.Query().Get("fields"), sizeBytes: sizeBytes}
	w.Header().Set("Location", "http://"+r.Host+"/upload/drive/v3/files?uploadType=resumable&upload_id="+id)
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
	if session.made != nil {
		answer(w, http.StatusOK, session.made.fields(session.fields))
		return
	}
	part, ok := parsePart(r.Header.Get("Content-Range"))
	if !ok || !session.takes(part) {
		badRequest.write(w)
		return
	}
	if part.next > part.first {
		if err := s.receive(session, r, part); err != nil {
			s.abortIfCut(err)
			return // the client is gone
		}
	}
	if int64(len(session.data)) != session.sizeBytes {
		session.goOn(w, r)
		return
	}
	s.finish(w, session)
}

// takes reports whether a part may come now, and notes the size if it tells it.
func (session *session) takes(part part) bool {
	if part.sizeBytes != unknown {
		if session.sizeBytes != unknown && session.sizeBytes != part.sizeBytes {
			return false
		}
		session.sizeBytes = part.sizeBytes
	}
	last := part.next == session.sizeBytes
	return part.first <= int64(len(session.data)) && part.next <= maxFileBytes && (session.sizeBytes == unknown || part.next <= session.sizeBytes) &&
		(last || (part.next-part.first)%keptMultiple == 0)
}

// goOn says how much is there.
func (session *session) goOn(w http.ResponseWriter, r *http.Request) {
	if len(session.data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(session.data)-1))
	}
	if r.Header.Get("X-GUploader-No-308") == "yes" { // as Google's client asks
		w.Header().Set("X-HTTP-Status-Code-Override", strconv.Itoa(statusResume))
		return
	}
	w.WriteHeader(statusResume)
}

// receive takes a part's bytes; those that it holds already it passes over.
func (s *Server) receive(session *session, r *http.Request, part part) error {
	body := io.LimitReader(s.body(r), part.next-part.first)
	if held := int64(len(session.data)); held > part.first {
		if _, err := io.CopyN(io.Discard, body, min(held, part.next)-part.first); err != nil {
			return err
		}
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

// part is what a Content-Range says: the bytes from first up to next, of a file of a size.
type part struct {
	first, next, sizeBytes int64
}

const unknown = -1 // a size

// parsePart reads "bytes first-last/size", "bytes */size" as an empty part, and * for a size that is not known yet.
func parsePart(text string) (p part, ok bool) {
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	if !ok {
		return part{}, false
	}
	p.sizeBytes = unknown
	if size != "*" {
		n, err := strconv.ParseUint(size, 10, 62)
		if err != nil {
			return part{}, false
		}
		p.sizeBytes = int64(n)
	}
	if span == "*" {
		return p, true
	}
	if _, err := fmt.Sscanf(span, "%d-%d", &p.first, &p.next); err != nil || p.first < 0 || p.next < p.first || p.next >= maxFileBytes {
		return part{}, false
	}
	p.next++
	return p, true
}
