// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/helper"
	"github.com/coffer-backup/coffer/blob/s3"
	"github.com/coffer-backup/coffer/blob/webdav"
)

// Opener opens destinations by their texts, each kind by its driver. Its methods may be called by many goroutines.
type Opener struct {
	Secrets Secrets // where the credentials are

	// HelperPath is the program that reaches what only rclone knows; empty: coffer-rclone, beside this program or in PATH.
	HelperPath string

	// HelperSays gets what helpers write to their standard error, if set.
	HelperSays func(line string)

	// UploadBytesPerSecond limits what is sent to each destination; 0: no limit.
	UploadBytesPerSecond int64

	// Google replaces Google's addresses, for tests.
	Google Google

	mu     sync.Mutex
	opened []io.Closer
}

// Open opens the destination that the text names; with create it makes what is missing of it, and tries out whether it can hold an
// archive. It fits coffer.Options.OpenDestination.
//
// Errors: coffer.ErrDestination, coffer.ErrKeysLocked, ErrNoCredentials, ErrNoHelper, those of package blob.
func (o *Opener) Open(ctx context.Context, text string, create bool) (blob.Store, error) {
	l, err := Parse(text)
	if err != nil {
		return nil, err
	}
	switch l := l.(type) {
	case Folder:
		return coffer.OpenDestination(ctx, l.Path, create)
	case S3:
		return o.openS3(ctx, l, create)
	case WebDAV:
		return o.openWebDAV(ctx, l, create)
	case Drive:
		return o.openDrive(ctx, l, create)
	case ICloud:
		return o.openICloud(ctx, l, create)
	case Rclone:
		return o.openHelper(ctx, l, create)
	}
	panic("a kind of location without a driver")
}

// Canonical returns the one text of the location that a text names. It fits coffer.Options.CanonicalDestination.
func Canonical(text string) (string, error) {
	l, err := Parse(text)
	if err != nil {
		return "", err
	}
	return l.String(), nil
}

// Close ends the helpers of all destinations that were opened. These are unusable afterwards.
func (o *Opener) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, store := range o.opened {
		errs = append(errs, store.Close())
	}
	o.opened = nil
	return errors.Join(errs...)
}

// result keeps a nil pointer from becoming a blob.Store that is not nil.
func result[S blob.Store](store S, err error) (blob.Store, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}

func (o *Opener) openS3(ctx context.Context, l S3, create bool) (blob.Store, error) {
	keys, err := LoadCredentials(o.Secrets, l)
	if errors.Is(err, ErrNoCredentials) && os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		keys, err = s3Environment(), nil
	}
	if err != nil {
		return nil, err
	}
	config := s3.Config{
		Bucket: l.Bucket, Prefix: l.Prefix, Endpoint: l.Endpoint, Region: l.Region, Insecure: l.Insecure, CheckThenPut: l.CheckThenPut,
		AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, SessionToken: keys.SessionToken,
		UploadBytesPerSecond: o.UploadBytesPerSecond,
	}
	if create {
		return result(s3.Create(ctx, config))
	}
	return result(s3.Open(ctx, config))
}

// s3Environment reads the variables that programs for S3 agree on.
func s3Environment() Credentials {
	return Credentials{
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
}

func (o *Opener) openWebDAV(ctx context.Context, l WebDAV, create bool) (blob.Store, error) {
	var login Credentials
	if l.User != "" {
		var err error
		if login, err = LoadCredentials(o.Secrets, l); err != nil {
			return nil, err
		}
	}
	address := url.URL{Scheme: "https", Host: l.Host, Path: "/" + l.Path}
	if l.Insecure {
		address.Scheme = "http"
	}
	config := webdav.Config{URL: address.String(), User: l.User, Password: login.Password, Insecure: l.Insecure, UploadBytesPerSecond: o.UploadBytesPerSecond}
	if create {
		return result(webdav.Create(ctx, config))
	}
	return result(webdav.Open(ctx, config))
}

// iCloudFolder is what icloud: alone names.
const iCloudFolder = "Coffer"

// openICloud uses the folder that a Mac keeps in step with iCloud Drive. Elsewhere rclone must know the account, as the remote of the name icloud.
func (o *Opener) openICloud(ctx context.Context, l ICloud, create bool) (blob.Store, error) {
	if l.Folder == "" {
		l.Folder = iCloudFolder
	}
	if runtime.GOOS != "darwin" {
		return o.openHelper(ctx, Rclone{"icloud", l.Folder}, create)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return coffer.OpenDestination(ctx, filepath.Join(home, "Library", "Mobile Documents", "com~apple~CloudDocs", filepath.FromSlash(l.Folder)), create)
}

func (o *Opener) openHelper(ctx context.Context, l Rclone, create bool) (blob.Store, error) {
	program, err := o.findHelper()
	if err != nil {
		return nil, err
	}
	command := []string{program, "serve"}
	if create {
		command = append(command, "--create")
	}
	store, err := helper.Open(ctx, helper.Config{
		Command: append(command, l.Remote+":"+l.Path), UploadBytesPerSecond: o.UploadBytesPerSecond, Stderr: o.HelperSays,
	})
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened = append(o.opened, store)
	return store, nil
}
