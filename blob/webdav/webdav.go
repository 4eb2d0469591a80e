// SPDX-License-Identifier: Apache-2.0

// Package webdav keeps an archive on a WebDAV server (RFC 4918), such as Nextcloud or a web server's module. Each object is
// one file of the object's name below one folder.
//
// It guarantees the contract of package blob where the server renames a folder without replacing one that is there and not
// empty, as file systems do: a writer takes an object's name by renaming a folder with the object's bytes, and only then
// names the object. So an object appears whole, and of two writers of one name one wins. It does not rely on the server's
// own check for Overwrite and If-None-Match, which most servers make before they act, and not while. README.md says what that
// comes to at which server.
//
// It trusts the server's acknowledgement: whether that survives a loss of power is the server's affair. It trusts nothing
// else it says. Lists are read piece by piece, with a bound on each piece, their number and their whole; a list that ends early
// is an error, never a shorter list. No redirect is followed, and the password goes to the configured server alone.
//
// It refuses plain HTTP, except to this machine or when that is asked for, and leaves everything alone that has not the
// name of an object or of its own hidden folder.
package webdav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"

	dav "github.com/emersion/go-webdav"

	"github.com/coffer-backup/coffer/blob"
)

// Config says where the folder is and who asks.
type Config struct {
	// URL is the folder's address, https://HOST[:PORT]/PATH, without user, password and query. It must be what the server
	// itself uses: redirects are refused.
	URL string

	// User and Password are sent by Basic authentication (RFC 7617), if User is not empty.
	User, Password string

	// Insecure permits http:// to other machines. Objects are sealed all the same, but whoever listens learns the password, and
	// can delete and roll back.
	Insecure bool

	UploadBytesPerSecond int64 // of all uploads together; 0 is no bound

	// HTTPClient replaces the client that keeps bounds and UploadBytesPerSecond. Tests need it. It follows no redirect either.
	HTTPClient *http.Client
}

// String leaves out the password.
func (c Config) String() string { return fmt.Sprintf("webdav %s as %q (redacted)", c.URL, c.User) }

// GoString leaves out the password.
func (c Config) GoString() string { return c.String() }

// Store is a folder at a WebDAV server.
type Store struct {
	base   *url.URL // the folder's address; its Path is clean and ends with a slash
	client client
	dav    *dav.Client // MKCOL, MOVE and DELETE, by way of client

	folders sync.Map      // names of folders that are known to be there
	hidden  chan struct{} // taken while the hidden folder is prepared
	ready   bool          // guarded by hidden
}

var _ blob.Store = (*Store)(nil)

// Open opens the folder, which must exist, with one request.
//
// Errors: blob.ErrUnreachable also if there is no such folder, blob.ErrDenied.
func Open(ctx context.Context, config Config) (*Store, error) {
	s, err := newStore(config)
	if err != nil {
		return nil, err
	}
	found, err := s.stat(ctx, s.base.Path)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		err = fmt.Errorf("%w: the folder does not exist; create it, or correct the address", blob.ErrUnreachable)
	case err == nil && !found.collection:
		err = fmt.Errorf("%w: it is a file and not a folder", blob.ErrUnreachable)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s, err)
	}
	return s, nil
}

// Create makes the folder and its missing parents, opens it, and tries out whether the server does what an archive relies on.
// A folder that exists already is tried out as well.
//
// Errors: blob.ErrUnreachable, blob.ErrDenied, blob.ErrFull.
func Create(ctx context.Context, config Config) (*Store, error) {
	s, err := newStore(config)
	if err != nil {
		return nil, err
	}
	if err := s.makeRoot(ctx, s.base.Path); err != nil {
		return nil, fmt.Errorf("create %s: %w", s, err)
	}
	if s, err = Open(ctx, config); err != nil {
		return nil, err
	}
	if err := s.tryOut(ctx); err != nil {
		return nil, fmt.Errorf("try out %s: %w", s, err)
	}
	return s, nil
}

func newStore(config Config) (*Store, error) {
	base, err := parseURL(config.URL, config.Insecure)
	if err != nil {
		return nil, err
	}
	s := &Store{base: base, hidden: make(chan struct{}, 1)}
	s.client = newClient(config)
	if s.dav, err = dav.NewClient(s.client, base.String()); err != nil {
		return nil, fmt.Errorf("open %s: %w", s, err)
	}
	return s, nil
}

func parseURL(text string, plain bool) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil { // its text would repeat what may be a password
		return nil, errors.New("the WebDAV address is not a URL; write https://HOST/PATH")
	}
	switch {
	case base.User != nil:
		return nil, errors.New("the WebDAV address must not hold a user or password; configure them apart")
	case base.RawQuery != "" || base.Fragment != "" || base.Opaque != "" || base.Hostname() == "":
		return nil, errors.New("the WebDAV address must be https://HOST/PATH and no more") // a query may hold a secret
	case base.Scheme == "https":
	case base.Scheme == "http" && (plain || loopback(base.Hostname())):
	default:
		return nil, fmt.Errorf("the WebDAV address begins with %.20q; only https:// is allowed, since others could read the password on the way", base.Scheme+"://")
	}
	clean := strings.TrimSuffix(path.Clean("/"+base.Path), "/") + "/"
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: clean}, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// String returns the folder's address.
func (s *Store) String() string { return s.base.String() }

// path returns the server's path of an object or, with a slash at the end, of a folder.
func (s *Store) path(name string) string { return s.base.Path + name }

// explain says what failed where.
func (s *Store) explain(op, name string, err error) error {
	return fmt.Errorf("%s %q in %s: %w", op, name, s, err)
}
