// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
)

// explain says what failed, with its class and without secrets.
func explain(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", op, name, classify(err))
}

// scrubbed is an error with another text.
type scrubbed struct {
	error
	text string
}

func (s *scrubbed) Error() string { return s.text }

func (s *scrubbed) Unwrap() error { return s.error }

// classify adds the sentinel of package blob that fits, if one does, and takes secrets out.
func classify(err error) error {
	if class := classOf(err); class != nil && !errors.Is(err, class) {
		err = fmt.Errorf("%w (%w)", class, err)
	}
	if text := err.Error(); scrub(text) != text {
		return &scrubbed{err, scrub(text)}
	}
	return err
}

var classes = []error{blob.ErrNotFound, blob.ErrExists, blob.ErrUnreachable, blob.ErrFull, blob.ErrDenied, blob.ErrName}

// classOf finds the class by the error's type where rclone keeps one, by the status of HTTP, and by the words
// of providers that have nothing better.
func classOf(err error) error {
	for _, class := range classes {
		if errors.Is(err, class) {
			return class
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	status := statusOf(err)
	text := strings.ToLower(err.Error())
	_, expired := errors.AsType[*oauth2.RetrieveError](err)
	_, dial := errors.AsType[*net.OpError](err)
	_, lookup := errors.AsType[*net.DNSError](err)
	switch {
	case fserrors.IsErrNoSpace(err), errors.Is(err, syscall.EDQUOT), status == http.StatusInsufficientStorage, containsAny(text, fullWords):
		return blob.ErrFull
	case errors.Is(err, fs.ErrorPermissionDenied), errors.Is(err, iofs.ErrPermission), errors.Is(err, syscall.EROFS), expired,
		status == http.StatusUnauthorized, status == http.StatusForbidden, containsAny(text, deniedWords):
		return blob.ErrDenied
	case dial, lookup, fserrors.ShouldRetry(err), fserrors.IsRetryError(err), fserrors.IsRetryAfterError(err),
		status == http.StatusTooManyRequests, status >= 500, containsAny(text, unreachableWords):
		return blob.ErrUnreachable
	}
	return nil
}

var (
	fullWords        = []string{"quota exceeded", "quotaexceeded", "quota has been exceeded", "quotalimitreached", "insufficient storage", "insufficient_space", "no space left", "storage limit", "over quota"}
	deniedWords      = []string{"access denied", "accessdenied", "permission denied", "unauthorized", "invalid_grant", "unable to authenticate", "signaturedoesnotmatch", "invalidaccesskeyid"}
	unreachableWords = []string{"connection refused", "connection reset", "no such host", "network is unreachable", "couldn't connect", "connection lost", "i/o timeout"}
)

func containsAny(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// statusOf returns the status of HTTP in an error, or 0.
func statusOf(err error) int {
	if api, ok := errors.AsType[*googleapi.Error](err); ok {
		return api.Code
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) {
		return status.HTTPStatusCode()
	}
	return 0
}

// missing tells an error that says that there is no such object.
func missing(err error) bool {
	for _, none := range []error{fs.ErrorObjectNotFound, fs.ErrorDirNotFound, fs.ErrorIsDir, fs.ErrorNotAFile, iofs.ErrNotExist, syscall.ENOTDIR} {
		if errors.Is(err, none) {
			return true
		}
	}
	return false
}

// occupied gives an error the class blob.ErrName where a file is in the place of a folder, or a folder in the object's.
func occupied(err error) error {
	for _, in := range []error{syscall.ENOTDIR, syscall.EISDIR, fs.ErrorIsFile, fs.ErrorIsDir, fs.ErrorNotAFile} {
		if errors.Is(err, in) {
			return fmt.Errorf("%w: an object has the name of one of its folders, or a folder has its name (%v)", blob.ErrName, err)
		}
	}
	if err == io.EOF { // of a connection, not of an object
		return io.ErrUnexpectedEOF
	}
	return err
}
