// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

var (
	errToken     = errors.New("the token is refused")
	errIDUsed    = errors.New("a file of this id exists")
	errEnd       = errors.New("the range begins at or after the end")
	errElsewhere = errors.New("an upload or an answer leads to another service than Google Drive, which gets nothing from us")
	errNonsense  = errors.New("the answer of Google Drive makes no sense")
)

// nonsense is an answer that Drive does not give, so it is no use to ask again.
func nonsense(format string, a ...any) error {
	return fmt.Errorf("%w: %w", errNonsense, fmt.Errorf(format, a...))
}

// refusal is an error that Drive answered. It quotes what the server chose, shortened.
type refusal struct {
	status          int
	reason, message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("Google Drive answered %d %.64q: %.200q", r.status, r.reason, r.message)
}

func isStatus(err error, status int) bool {
	answer, ok := errors.AsType[*googleapi.Error](err)
	return ok && answer.Code == status
}

// classify turns the error of one request into one of package blob's, of ours above, or of transport's Temporary.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[*googleapi.Error](err); ok {
		return classifyAnswer(answer)
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, mistyped := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case syntax, mistyped, errors.Is(err, transport.ErrTooLong):
		return fmt.Errorf("%w (%v)", errNonsense, err)
	case ctx.Err() == nil && isFinal(err):
		return err
	}
	return transport.FromNetwork(ctx, err)
}

// isFinal reports whether err was classified already, or is ours.
func isFinal(err error) bool {
	for _, final := range []error{
		errToken, errIDUsed, errEnd, errElsewhere, errNonsense,
		blob.ErrNotFound, blob.ErrExists, blob.ErrUnreachable, blob.ErrFull, blob.ErrDenied,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// classifyAnswer goes by Drive's documented reasons, because 403 alone means anything from "too fast" to "never".
func classifyAnswer(answer *googleapi.Error) error {
	said := &refusal{status: answer.Code, message: answer.Message}
	if len(answer.Errors) > 0 {
		said.reason = answer.Errors[0].Reason
	}
	passes, after := transport.FromStatus(&http.Response{StatusCode: answer.Code, Header: answer.Header})
	if answer.Code == http.StatusForbidden {
		return classifyForbidden(said, answer.Header)
	}
	switch {
	case passes:
		return transport.Temporary(said, after)
	case answer.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", errToken, said)
	case answer.Code == http.StatusNotFound:
		return fmt.Errorf("%w (%w)", blob.ErrNotFound, said)
	case answer.Code == http.StatusConflict:
		return fmt.Errorf("%w (%w)", errIDUsed, said)
	case answer.Code == http.StatusRequestedRangeNotSatisfiable:
		return errEnd
	case answer.Code >= 300 && answer.Code < 400:
		return fmt.Errorf("%w: a redirect, which is not followed (%w)", errNonsense, said)
	}
	return fmt.Errorf("%w (%w)", errNonsense, said)
}

func classifyForbidden(said *refusal, header http.Header) error {
	switch said.reason {
	case "rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded":
		// Google asks for back-off here as with 429, which has the same meaning.
		_, after := transport.FromStatus(&http.Response{StatusCode: http.StatusTooManyRequests, Header: header})
		return transport.Temporary(said, after)
	case "storageQuotaExceeded", "quotaExceeded":
		return fmt.Errorf("%w: the Google account has no storage left; free or buy some at one.google.com/storage (%w)", blob.ErrFull, said)
	case "numChildrenInNonRootLimitExceeded", "activeItemCreationLimitExceeded", "teamDriveFileLimitExceeded", "myDriveHierarchyDepthLimitExceeded":
		return fmt.Errorf("%w: Google Drive allows no more files here; prune, or use another folder (%w)", blob.ErrFull, said)
	case "dailyLimitExceeded", "dailyLimitExceededUnreg":
		return fmt.Errorf("%w: the OAuth client has used up its requests of this day; try again tomorrow, or use a client of your own (%w)",
			blob.ErrUnreachable, said)
	case "accessNotConfigured":
		return fmt.Errorf("%w: the Google Drive API is not enabled in the OAuth client's project; enable it in Google's console (%w)", blob.ErrDenied, said)
	case "insufficientPermissions", "insufficientScopes", "insufficientParentPermissions", "insufficientFilePermissions":
		return fmt.Errorf("%w: the sign-in does not reach this folder; the hidden folder and visible ones need different sign-ins (%w)", blob.ErrDenied, said)
	}
	return fmt.Errorf("%w (%w)", blob.ErrDenied, said)
}
