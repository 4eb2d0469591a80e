// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/s3"
)

const (
	orderVariable = "COFFER_BENCH_ORDER" // keys are in it, so it is no argument
	copyCommand   = "copy-database"
)

// An order is one operation of coffer, which may be done in another process.
type order struct {
	Operation string // create, backup, list, restore, prune
	Place     place
	Source    string
	State     string // folder; a new one is a device that knows the key alone
	Key       string
	Archive   archive.ID
	Device    archive.ID
	To        string    // of a restore
	Now       time.Time // zero: the real time

	copyDatabase func(ctx context.Context, src, dst string) error
	transport    http.RoundTripper // nil: the driver's own
}

func (o *order) do(ctx context.Context) error {
	key, err := format.ParseKey(o.Key)
	if err != nil {
		return err
	}
	store, err := o.open(ctx)
	if err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	if o.Operation == "create" {
		a, err := archive.Create(ctx, store, o.Archive, key, options)
		if err == nil {
			a.Close()
		}
		return err
	}
	a, err := archive.Open(ctx, store, o.Archive, key, options)
	if err != nil {
		return err
	}
	defer a.Close()
	switch o.Operation {
	case "backup":
		_, err = a.Backup(ctx, archive.BackupConfig{Source: o.Source, StateDir: o.State, CopyDatabase: o.copyDatabase})
	case "list":
		if len(a.Snapshots()) == 0 {
			err = errors.New("no snapshots")
		}
	case "restore":
		_, err = a.Restore(ctx, archive.RestoreConfig{Dir: o.To})
	case "prune":
		_, err = a.Prune(ctx, archive.PruneConfig{KeepLast: 1})
	default:
		err = fmt.Errorf("no operation %q", o.Operation)
	}
	return err
}

func (o *order) open(ctx context.Context) (blob.Store, error) {
	c := s3.Config{Bucket: o.Place.Bucket, Endpoint: o.Place.Endpoint, Insecure: true, AccessKey: o.Place.AccessKey, SecretKey: o.Place.SecretKey}
	if o.transport != nil {
		c.HTTPClient = &http.Client{Transport: o.transport}
	}
	if o.Operation == "create" {
		return s3.Create(ctx, c)
	}
	return s3.Open(ctx, c)
}

// options remembers the newest head in the state folder, as the device does.
func (o *order) options() (archive.Options, error) {
	path := filepath.Join(o.State, "head")
	options := archive.Options{Device: o.Device, OnHead: func(h archive.Head) error {
		data, err := json.Marshal(h)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		return err
	}}
	if !o.Now.IsZero() {
		now := o.Now
		options.Clock = func() time.Time {
			now = now.Add(time.Millisecond)
			return now
		}
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return options, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return options, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &options.Seen)
	}
	return options, err
}
