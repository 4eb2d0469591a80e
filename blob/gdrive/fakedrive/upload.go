// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

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

// errCut is a connection that the test wants to end.
var errCut = errors.New("the upload is cut")

func (s *Server) abortIfCut(err error) {
	if errors.Is(err, errCut) {
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
