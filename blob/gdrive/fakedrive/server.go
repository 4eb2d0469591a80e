// SPDX-License-Identifier: Apache-2.0

// Package fakedrive is a Google Drive in memory, for tests: it speaks as much of the public HTTP API (Drive v3 and Google's OAuth endpoints) as the
// driver gdrive uses, over loopback, and fails on demand.
//
// It keeps what a driver can be wrong about: names that are not unique, an index that lags behind, page tokens, answers that hold only the
// fields asked for, resumable sessions that keep multiples of 256 KiB and answer 308, one appDataFolder per client id, scopes, tokens
// that end, and errors with a status and a reason, as Google's documentation gives them.
//
// It does not do: sharing, shared drives, revisions, trash other than [Server.Trash], changes of a file, checks of a file's type, exports, full text, batch
// requests, more than one user, the consent page (consent is given at once, or refused by [Behaviour]), and the real service's limits per second. Its index lags by one
// fixed time, and shows files in the order of their times, all of one millisecond at once, which the real one does not promise. It is no reference: where it and Drive differ, Drive is right.
//
// It trusts its caller, keeps everything in memory, and is for tests alone.
package fakedrive

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"
)

// The client that is registered from the start.
const (
	ClientID     = "client.apps.example"
	ClientSecret = "client-secret"
)

// Behaviour is what a test may change while the server runs; see [Server.Set]. The zero value behaves.
type Behaviour struct {
	// ListDelay is how long a file that was made is not yet in a list, and one that was deleted still is.
	ListDelay time.Duration

	// LimitEvery refuses every so many'th request to the API as one too many, with 403 and 429 in turn; 0 refuses none.
	LimitEvery int

	// Refuse answers so many requests to the API with RefuseReason and status 403, and counts down.
	Refuse       int
	RefuseReason string

	// CutUploads ends the connection of an upload after so many bytes of its body, once for each element. A session keeps the whole 256 KiB among them.
	CutUploads []int64

	// QuotaBytes bounds what all files hold; 0 is no bound.
	QuotaBytes int64

	// PageSize bounds a page of a list; 0 means 1,000.
	PageSize int

	AccessLifetime  time.Duration // of access tokens; 0 means an hour
	RefreshLifetime time.Duration // of refresh tokens, told in answers as for a client in testing; 0 means no end
	DenyConsent     bool          // the user says no

	// Before runs before each request, tokens included; true means that it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool
}

// Server is one fake Drive of one user. All methods may be called by many goroutines.
type Server struct {
	// URL is the server's root, without a slash at the end.
	URL string

	http *http.Server
	done chan struct{}

	mu       sync.Mutex
	b        Behaviour
	clients  map[string]string // secrets by id
	access   map[string]grant
	refresh  map[string]grant
	codes    map[string]grant
	devices  map[string]*device // by device code
	files    map[string]*file
	byName   map[string][]*file // also those deleted, until their delay is over
	made     int
	ids      map[string]bool
	sessions map[string]*session
	calls    map[string]int
	requests int
	uploaded int64
}

// Start starts a server on a port of loopback that the kernel picks.
func Start() (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:      "http://" + listener.Addr().String(),
		done:     make(chan struct{}),
		clients:  map[string]string{ClientID: ClientSecret},
		access:   map[string]grant{},
		refresh:  map[string]grant{},
		codes:    map[string]grant{},
		devices:  map[string]*device{},
		files:    map[string]*file{},
		byName:   map[string][]*file{},
		ids:      map[string]bool{},
		sessions: map[string]*session{},
		calls:    map[string]int{},
	}
	s.http = &http.Server{Handler: s.handler()}
	go func() {
		defer close(s.done)
		s.http.Serve(listener)
	}()
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() {
	s.http.Close()
	<-s.done
}

// Endpoint is where Drive's API is: what gdrive.Config calls Endpoint.
func (s *Server) Endpoint() string { return s.URL + "/drive/v3/" }

// Set changes how the server behaves.
func (s *Server) Set(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.b)
}

// Calls returns how often each method was called, by names such as "files.list", "upload.start" and "token", also where it failed.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make(map[string]int, len(s.calls))
	for name, n := range s.calls {
		calls[name] = n
	}
	return calls
}

// UploadedBytes returns how many bytes of files' contents have come in, those of cut and repeated uploads included.
func (s *Server) UploadedBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploaded
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /drive/v3/files", s.api("files.list", s.list))
	mux.HandleFunc("POST /drive/v3/files", s.api("files.create", s.createEmpty))
	mux.HandleFunc("GET /drive/v3/files/generateIds", s.api("files.generateIds", s.generateIDs))
	mux.HandleFunc("GET /drive/v3/files/{id}", s.api("files.get", s.get))
	mux.HandleFunc("DELETE /drive/v3/files/{id}", s.api("files.delete", s.delete))
	mux.HandleFunc("GET /drive/v3/about", s.api("about.get", s.about))
	mux.HandleFunc("POST /upload/drive/v3/files", s.api("upload.create", s.upload))
	mux.HandleFunc("PUT /upload/drive/v3/files", s.api("upload.put", s.putSession))
	mux.HandleFunc("GET /auth", s.open("auth", s.consent))
	mux.HandleFunc("POST /token", s.open("token", s.token))
	mux.HandleFunc("POST /device/code", s.open("device", s.deviceCode))
	return mux
}

// open counts a call that needs no token.
func (s *Server) open(name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[name]++
		before := s.b.Before
		s.mu.Unlock()
		if before == nil || !before(w, r) {
			h(w, r)
		}
	}
}

// api also checks the token and applies the limits.
func (s *Server) api(name string, h func(w http.ResponseWriter, r *http.Request, g grant)) http.HandlerFunc {
	return s.open(name, func(w http.ResponseWriter, r *http.Request) {
		g, fault := s.admit(r)
		if fault != nil {
			fault.write(w)
			return
		}
		h(w, r, g)
	})
}

func (s *Server) admit(r *http.Request) (grant, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.b.LimitEvery > 0 && s.requests%s.b.LimitEvery == 0 {
		limits := []*fault{
			{http.StatusForbidden, "userRateLimitExceeded", "usageLimits", "User Rate Limit Exceeded"},
			{http.StatusTooManyRequests, "rateLimitExceeded", "usageLimits", "Rate Limit Exceeded"},
			{http.StatusForbidden, "rateLimitExceeded", "usageLimits", "Rate Limit Exceeded"},
		}
		return grant{}, limits[s.requests/s.b.LimitEvery%len(limits)]
	}
	g, ok := s.access[bearer(r)]
	if !ok || time.Now().After(g.expires) {
		return grant{}, &fault{http.StatusUnauthorized, "authError", "global", "Invalid Credentials"}
	}
	if s.b.Refuse > 0 {
		s.b.Refuse--
		return grant{}, &fault{http.StatusForbidden, s.b.RefuseReason, "usageLimits", "Refused: " + s.b.RefuseReason}
	}
	return g, nil
}

// fault is an error as Google's APIs answer it.
type fault struct {
	status                  int
	reason, domain, message string
}

func (f *fault) write(w http.ResponseWriter) {
	detail := map[string]string{"domain": f.domain, "reason": f.reason, "message": f.message}
	answer(w, f.status, map[string]any{
		"error": map[string]any{"code": f.status, "message": f.message, "errors": []any{detail}},
	})
}

var (
	notFound   = &fault{http.StatusNotFound, "notFound", "global", "File not found: ."}
	quotaUsed  = &fault{http.StatusForbidden, "storageQuotaExceeded", "usageLimits", "The user's Drive storage quota has been exceeded."}
	idUsed     = &fault{http.StatusConflict, "fileIdInUse", "global", "A file already exists with the provided ID."}
	idUnknown  = &fault{http.StatusBadRequest, "invalid", "global", "The provided file ID is not usable."}
	noSpace    = &fault{http.StatusForbidden, "insufficientScopes", "global", "The granted scopes do not give access to all of the requested spaces."}
	noParent   = &fault{http.StatusNotFound, "notFound", "global", "File not found: parent."}
	badRequest = &fault{http.StatusBadRequest, "badRequest", "global", "Bad Request"}
)

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func newID() string { return rand.Text() + "_" + rand.Text()[:6] }
