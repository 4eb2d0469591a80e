// SPDX-License-Identifier: Apache-2.0

// Package gdrive keeps an archive in Google Drive: in the hidden folder that belongs to one OAuth client (appDataFolder), or in a visible folder of My Drive.
//
// Each object is one file of the object's name, and all lie in one folder, for then a listing costs one request for 1,000 objects, and
// those below a prefix are picked by Drive's index of appProperties. A file is there when its upload is complete; Drive shows no part of it.
//
// Drive has no put-if-absent: two files may have one name. So the nearest honest thing is done. Put uploads, waits until Drive lists its own
// file, and then the oldest file of the name is the object: everybody computes the same one, and the writers of the others remove theirs. What is
// left of the contract of package blob is this:
//
//   - Two writers of one name at the same moment may both succeed, if Drive lists the younger file first, or dates a file before one that was
//     complete and listed already. Then the older is the object. An archive lives with it: its packs are named by their contents, so that
//     both are equal, and two heads of one generation are a fork, which is reported and joined.
//   - Another process may list an object for a while after it was deleted. Reading it says that it is not there.
//   - A writer who is killed between upload and comparison may leave a second file, which nobody sees and Delete removes.
//
// It trusts Google to keep what it acknowledged. It does not trust what the server says: sizes and checksums of what was uploaded are compared, answers, pages
// and names are bounded, no redirect is followed, and the token goes to the configured endpoint alone. It refuses files that are in the
// trash, folders, and names that are no object's; other files are left alone.
package gdrive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

// Config says where and how. Tokens is needed; all other fields have useful zero values.
type Config struct {
	// Folder is the path of a visible folder in My Drive, such as "Backups/Chats". Empty means the hidden folder of the OAuth client.
	Folder string

	// Tokens gives access tokens, for the scope that [Scope] names. It is usually an *oauth.Source.
	Tokens Tokens

	// UploadBytesPerSecond bounds all uploads together; 0 is no bound.
	UploadBytesPerSecond int64

	// Notify is told of each wait before a request is sent again, if set. Its error carries no secret.
	Notify func(err error, wait time.Duration)

	// Endpoint replaces https://www.googleapis.com/drive/v3/, for tests.
	Endpoint string

	// HTTPClient replaces the usual client, for tests; UploadBytesPerSecond is then the caller's affair.
	HTTPClient *http.Client
}

// Tokens gives access tokens. It is called by many goroutines at once. Its errors wrap those of package blob.
type Tokens interface {
	// Token returns a token that is not known to have ended.
	Token(ctx context.Context) (string, error)

	// Renew returns another one than that which the server has refused.
	Renew(ctx context.Context, refused string) (string, error)
}

var _ Tokens = (*oauth.Source)(nil)

// Scope is what to ask the user for, given the folder of a Config.
func Scope(folder string) string {
	if folder == "" {
		return oauth.ScopeHidden
	}
	return oauth.ScopeFolder
}

const (
	hidden         = "appDataFolder"
	googleEndpoint = "https://www.googleapis.com/drive/v3/"
	maxFolderDepth = 8
	maxFolderBytes = 128
)

// Store is one folder of one Drive.
type Store struct {
	folder  string // the path in My Drive; empty for the hidden folder
	parent  string // the folder's id
	service *service
	ids     ids
	known   known
}

var _ blob.Store = (*Store)(nil)

// Open opens the hidden folder, which needs no request, or a visible folder, which must exist.
//
// Errors: blob.ErrUnreachable, also if there is no such folder; blob.ErrDenied.
func Open(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, false) }

// Create makes the visible folder and those above it where they are missing, and opens it.
//
// Errors: blob.ErrUnreachable, blob.ErrDenied, blob.ErrFull.
func Create(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, true) }

func open(ctx context.Context, c Config, create bool) (*Store, error) {
	path, err := parseFolder(c.Folder)
	if err != nil {
		return nil, fmt.Errorf("open Google Drive: %w", err)
	}
	service, err := newService(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open Google Drive: %w", err)
	}
	s := &Store{folder: strings.Join(path, "/"), parent: hidden, service: service, ids: newIDs()}
	if len(path) > 0 {
		s.parent = "root"
	}
	for _, name := range path {
		if s.parent, err = s.findFolder(ctx, name, create); err != nil {
			return nil, fmt.Errorf("open %s: %w", s, err)
		}
	}
	return s, nil
}

// String returns "gdrive:" and the folder, as a user writes it.
func (s *Store) String() string { return "gdrive:" + s.folder }

func parseFolder(text string) (path []string, err error) {
	if text == "" {
		return nil, nil
	}
	path = strings.Split(strings.Trim(text, "/"), "/")
	if len(path) > maxFolderDepth {
		return nil, fmt.Errorf("the folder lies more than %d deep", maxFolderDepth)
	}
	for _, name := range path {
		if name == "" || len(name) > maxFolderBytes || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, errors.New("not the path of a folder in Drive, such as Backups/Chats")
		}
	}
	return path, nil
}
