// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// do calls until the outcome is final, and says what failed where. The attempt is new for each call.
func (s *Store) do(ctx context.Context, op, name string, call func(context.Context, *attempt) error) error {
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		a := &attempt{}
		return s.outcome(ctx, a, call(a.in(ctx), a))
	})
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("%s %q in %v: %w", op, name, s, err)
}

// outcome gives an error of the library its class, and marks it if it may pass.
func (s *Store) outcome(ctx context.Context, a *attempt, err error) error {
	switch {
	case err == nil || err == io.EOF || errors.Is(err, errNotS3) || errors.Is(err, errRefused):
		return err
	case ctx.Err() != nil || a.status == 0 || a.cut && a.status < 300:
		return transport.FromNetwork(ctx, err)
	case a.status < 300:
		return fmt.Errorf("%w: %w (%.200v)", blob.ErrUnreachable, errNotS3, err)
	}
	e := minio.ToErrorResponse(err)
	refusal := fmt.Errorf("%w (%s)", s.class(a, e), s.said(a, e))
	if passing[e.Code] || a.passes && !full[e.Code] && !denied[e.Code] || a.status >= 520 && a.status < 530 {
		return transport.Temporary(refusal, a.after)
	}
	return refusal
}

// errRefused is the class of an answer for which package blob has none.
var errRefused = errors.New("the server refuses the request")

// errNoBucket is a missing bucket.
var errNoBucket = errors.New("there is no bucket")

func set(codes ...string) map[string]bool {
	m := map[string]bool{}
	for _, c := range codes {
		m[c] = true
	}
	return m
}

// Codes of errors, Amazon's first. The status alone would put them into another class, or differs between servers.
var (
	passing = set("RequestTimeout", "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded",
		"OperationAborted", "ConditionalRequestConflict", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "TooManyRequests")
	full   = set("QuotaExceeded", "InsufficientStorage", "StorageQuotaExceeded", "ServiceQuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded")
	absent = set("NoSuchKey", "NotFound", "NoSuchVersion", "NoSuchObject")
	denied = set("AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"TokenRefreshRequired", "AccountProblem", "NotSignedUp", "InvalidSecurity", "RequestTimeTooSkewed", "RequestExpired", "Unauthorized", "InvalidObjectState",
		"XAdminUserNotFound")
	elsewhere = set("AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect", "TemporaryRedirect", "Redirect", "IllegalLocationConstraintException")
	misnamed  = set("ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory", "KeyTooLongError")
)

func (s *Store) class(a *attempt, e minio.ErrorResponse) error {
	switch {
	case full[e.Code]:
		return blob.ErrFull
	case e.Code == "RequestTimeTooSkewed":
		return fmt.Errorf("%w: the clocks of this machine and of the server differ too much; set the clock and try again", blob.ErrDenied)
	case e.Code == "ExpiredToken" || e.Code == "ExpiredTokenException" || e.Code == "TokenRefreshRequired":
		return fmt.Errorf("%w: the session token has expired; get new keys", blob.ErrDenied)
	case elsewhere[e.Code] || a.status/100 == 3:
		return s.otherRegion(e)
	case denied[e.Code]:
		return blob.ErrDenied
	case misnamed[e.Code]:
		return blob.ErrName
	case a.status == http.StatusNotFound && !a.isS3:
		return fmt.Errorf("%w: %w; check the endpoint", blob.ErrUnreachable, errNotS3)
	case e.Code == "NoSuchBucket":
		return fmt.Errorf("%w: %w %s", blob.ErrUnreachable, errNoBucket, s.config.Bucket)
	}
	switch a.status {
	case http.StatusNotFound:
		if absent[e.Code] {
			return blob.ErrNotFound
		}
	case http.StatusPreconditionFailed:
		return blob.ErrExists
	case http.StatusUnauthorized, http.StatusForbidden:
		return blob.ErrDenied
	case http.StatusInsufficientStorage:
		return blob.ErrFull
	}
	return errRefused
}

func (s *Store) otherRegion(e minio.ErrorResponse) error {
	if e.Region != "" && len(e.Region) < 64 {
		return fmt.Errorf("%w: the bucket is in region %q; set the region", blob.ErrDenied, e.Region)
	}
	return fmt.Errorf("%w: the bucket is at another endpoint or in another region; set them", blob.ErrDenied)
}

// said is what the server says for people, bounded, and without keys, which a server could echo.
func (s *Store) said(a *attempt, e minio.ErrorResponse) string {
	text := fmt.Sprintf("status %d", a.status)
	if a.isS3 {
		text += fmt.Sprintf(", %.60q: %.200q", e.Code, e.Message)
	}
	for _, secret := range []string{s.config.AccessKey, s.config.SecretKey, s.config.SessionToken} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(redacted)")
		}
	}
	return text
}

func regionOf(u url.URL) string {
	if region := s3utils.GetRegionFromURL(u); region != "" {
		return region
	}
	return defaultRegion
}
