// SPDX-License-Identifier: Apache-2.0

// Package destination opens the destinations that people name by a text: a folder, a bucket, a cloud drive.
//
// It guarantees that a text is no secret: one with a password or a key in it is refused, and the refusal does not repeat it.
// Each location has one text, whatever way it was written, so that its credentials are found again. What it sends over a network is
// encrypted on the way, unless the text says otherwise or the server is this machine.
//
// It trusts who wrote the text, the Secrets that keep the credentials, and the programs it starts from its own folder. The
// destination itself is trusted with nothing; see package blob.
package destination

import (
	"net/url"
)

// Kind is what sort of place a location is.
type Kind string

// The kinds.
const (
	KindFolder Kind = "folder"
	KindS3     Kind = "s3"
	KindWebDAV Kind = "webdav"
	KindDrive  Kind = "gdrive"
	KindICloud Kind = "icloud"
	KindRclone Kind = "rclone"
)

// Location is a text that was understood: a Folder, S3, WebDAV, Drive, ICloud or Rclone. Two locations are the same place if
// they are equal; whether two different ones are is not known.
type Location interface {
	// String returns the location's one text. Parse makes the same location of it.
	String() string
	Kind() Kind
}

// Folder is a folder of this machine.
type Folder struct{ Path string } // absolute

// S3 is a prefix in a bucket: s3://BUCKET/PREFIX?endpoint=HOST&region=REGION&insecure=1&check-then-put=1.
type S3 struct {
	Bucket   string
	Prefix   string // elements with slashes between; may be empty
	Endpoint string // HOST or HOST:PORT; empty: Amazon's
	Region   string // empty: the server is asked
	Insecure bool   // plain HTTP

	// CheckThenPut is for a server that cannot store an object only if there is none; see s3.Config.
	CheckThenPut bool
}

// WebDAV is a folder of a WebDAV server: webdav+https://USER@HOST/PATH.
type WebDAV struct {
	Insecure bool   // webdav+http
	User     string // may be empty
	Host     string // HOST or HOST:PORT
	Path     string // elements with slashes between; may be empty
}

// Drive is a place in a Google Drive: gdrive: is the hidden folder of the OAuth client, gdrive:FOLDER one that people see.
type Drive struct{ Folder string }

// ICloud is a folder in an iCloud Drive: icloud: or icloud:FOLDER.
type ICloud struct{ Folder string }

// Rclone is a place that rclone's own configuration knows: rclone:REMOTE:PATH.
type Rclone struct{ Remote, Path string }

func (Folder) Kind() Kind { return KindFolder }
func (S3) Kind() Kind     { return KindS3 }
func (WebDAV) Kind() Kind { return KindWebDAV }
func (Drive) Kind() Kind  { return KindDrive }
func (ICloud) Kind() Kind { return KindICloud }
func (Rclone) Kind() Kind { return KindRclone }

func (l Folder) String() string { return l.Path }

func (l S3) String() string {
	query := ""
	add := func(name, value string) {
		if value != "" {
			query += "&" + name + "=" + value // of characters that need no escape
		}
	}
	add("endpoint", l.Endpoint)
	add("region", l.Region)
	if l.Insecure {
		add("insecure", "1")
	}
	if l.CheckThenPut {
		add("check-then-put", "1")
	}
	if query != "" {
		query = "?" + query[1:]
	}
	return "s3://" + l.Bucket + escapePath(l.Prefix) + query
}

func (l WebDAV) String() string {
	user, scheme, query := "", "https", ""
	if l.User != "" {
		user = url.User(l.User).String() + "@"
	}
	if l.Insecure {
		scheme = "http"
		if !isLoopback(l.Host) {
			query = "?insecure=1"
		}
	}
	return "webdav+" + scheme + "://" + user + l.Host + escapePath(l.Path) + query
}

// escapePath is what stands behind the host of a URL.
func escapePath(path string) string {
	if path == "" {
		return ""
	}
	return (&url.URL{Path: "/" + path}).EscapedPath()
}

func (l Drive) String() string  { return "gdrive:" + l.Folder }
func (l ICloud) String() string { return "icloud:" + l.Folder }
func (l Rclone) String() string { return "rclone:" + l.Remote + ":" + l.Path }
