// SPDX-License-Identifier: Apache-2.0

// Package s3 keeps an archive in a bucket of an S3 service: Amazon's, another provider's, or one's own server.
//
// It guarantees the contract of package blob on a server that keeps three promises of Amazon's S3: a PUT with
// If-None-Match: * stores nothing where an object is, what was answered is seen by all later requests and is durable, and a
// listing is in the order of names. [Create] tries the first and refuses a server without it; the order is checked in each listing; the
// rest is trusted. With Config.CheckThenPut the first is replaced by a look before each PUT, which is less; see there.
//
// It trusts the server with nothing else. Every answer is bounded before it is kept: an error's text, a page of a listing,
// the number of objects and of empty pages, a range that is longer or another one than was asked for. It follows no
// redirect. The secret key signs requests and is never sent; neither it nor the other two are in an error, in String, or in a Config that is printed.
//
// What it costs in requests is in README.md.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

const (
	amazon        = "s3.amazonaws.com"
	defaultRegion = "us-east-1"

	// A key has at most 1,024 bytes, and an object's name at most 515.
	maxPrefixBytes = 500
)

// Config says where the bucket is and who asks. It prints without its secrets.
type Config struct {
	Bucket string

	// Prefix is where in the bucket objects lie, such as "backups/phone"; "" is the top.
	Prefix string

	// Endpoint is HOST or HOST:PORT of the service; "" is Amazon's.
	Endpoint string

	// Region of the bucket; "" is what the endpoint's name says, else us-east-1, which servers of one's own accept.
	Region string

	// Insecure speaks HTTP without TLS. Objects are sealed all the same, but whoever listens sees names, sizes and times, and
	// can answer in the server's place.
	Insecure bool

	AccessKey    string
	SecretKey    string
	SessionToken string // with temporary keys

	// PathStyle puts the bucket into the path, not into the host's name. It is what happens by itself for all
	// providers whose host names are not known to need the other.
	PathStyle bool

	// CheckThenPut is for a server that does not know If-None-Match: Put asks whether the object is there, and stores it if not. Two that put
	// one name at the same moment may both succeed, and the later one's object stays. So nobody else may write to the same archive meanwhile.
	CheckThenPut bool

	UploadBytesPerSecond int64 // of all uploads together; 0 is no bound

	// HTTPClient replaces the client that keeps bounds and UploadBytesPerSecond; only its Transport is used. Tests need it.
	HTTPClient *http.Client `json:"-"`
}

// String names the place, and none of the keys.
func (c Config) String() string {
	host := c.Endpoint
	if host == "" {
		host = amazon
	}
	return strings.TrimSuffix("s3://"+c.Bucket+"/"+c.Prefix, "/") + " at " + host
}

// GoString implements [fmt.GoStringer], for %#v.
func (c Config) GoString() string { return fmt.Sprintf("s3.Config{%v, keys: (redacted)}", c) }

// Store is a place in a bucket.
type Store struct {
	config Config
	prefix string // of keys: "" or with "/" at its end
	core   *minio.Core
	retry  transport.Retry
	seen   seen

	maxListed int // tests take less
}

var _ blob.Store = (*Store)(nil)

// Open makes no request: what is wrong with the server, the bucket or the keys is told by the first call.
//
// Errors: those of a Config that cannot be used.
func Open(_ context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("open destination %v: %w", c, err)
	}
	if c.Endpoint == "" {
		c.Endpoint = amazon
	}
	client := c.HTTPClient
	if client == nil {
		client = transport.New(transport.Options{UploadBytesPerSecond: c.UploadBytesPerSecond})
	}
	base := client.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(c.Endpoint, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken),
		Secure:       !c.Insecure,
		Transport:    observer{base},
		Region:       c.Region,
		BucketLookup: lookup,
		// Without a region it would ask for it before the first request.
		CustomRegionViaURL: regionOf,
		MaxRetries:         1, // package transport does it
	})
	if err != nil {
		return nil, fmt.Errorf("open destination %v: %w", c, err)
	}
	s := &Store{config: c, core: core, maxListed: maxListed}
	if c.Prefix != "" {
		s.prefix = c.Prefix + "/"
	}
	return s, nil
}

func (c Config) check() error {
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return fmt.Errorf("the bucket's name: %w", err)
	}
	if strings.ContainsAny(c.Endpoint, "/@?#") {
		return errors.New("the endpoint must be HOST or HOST:PORT")
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return errors.New("it needs an access key and its secret key")
	}
	odd := func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) || r == '\\' }
	if c.Prefix != "" && len(c.Prefix) > maxPrefixBytes || strings.ContainsFunc(c.Prefix, odd) {
		return fmt.Errorf("the prefix must be at most %d bytes of plain text", maxPrefixBytes)
	}
	for element := range strings.SplitSeq(c.Prefix, "/") {
		if c.Prefix != "" && (element == "" || element == "." || element == "..") {
			return errors.New("the prefix must be names joined by single slashes, with none at its ends")
		}
	}
	return nil
}

// String names the place for people.
func (s *Store) String() string { return s.config.String() }

// key checks a name and returns what the object is called in the bucket.
func (s *Store) key(ctx context.Context, name string) (string, error) {
	if err := blob.ValidName(name); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return s.prefix + name, nil
}
