// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/recovery"
)

// Options are what a device takes from the program that embeds it. The zero
// value is a device that keeps its key in a file.
type Options struct {
	// Keys is where the device's copy of the key lives; nil means files in the state directory.
	Keys KeyStore

	// CopyDatabase copies the SQLite database src to the new file dst consistently, in one
	// step, through SQLite's online backup. Package sqlitecopy has one that uses a child
	// process. With nil, databases are read like ordinary files and may be torn.
	CopyDatabase func(ctx context.Context, src, dst string) error

	// OpenDestination replaces the function of the same name, for destinations of the app's own.
	// With create it may make what is missing. It gets a text that stands in Config.Destinations.
	OpenDestination func(ctx context.Context, destination string, create bool) (blob.Store, error)

	// CanonicalDestination returns the one text that stands in Config.Destinations for all that name the same place. An app that
	// replaces OpenDestination sets it too; nil makes the path of a folder absolute.
	CanonicalDestination func(destination string) (string, error)

	// OnKeyChanged is called when a run has finished a change of the key that had been interrupted: the
	// user must know that the old key does not open the archive any more.
	OnKeyChanged func()

	// OnPasswordSet is called when a run has finished the setting of a password that had been interrupted: the user must know
	// that the new one counts.
	OnPasswordSet func()

	// Tokens replaces the login at the vault's issuer, for an app that has a login of its own.
	Tokens recovery.TokenSource

	// Transport replaces the vault's gateway at a URL.
	Transport recovery.Transport

	// Clock replaces time.Now.
	Clock func() time.Time
}

// Device is this device as an archive sees it: a state directory, with one chat
// store, one archive and the destinations that hold it. Two state directories are two devices.
// Its methods may be called by many goroutines and processes; those that change something
// exclude each other with ErrBusy.
type Device struct {
	dir     string
	o       Options
	session session
}

// Config is what is set up on a device.
type Config struct {
	Version int    `json:"version"`
	Device  ID     `json:"device"` // random; the name of its key in the key store
	Archive ID     `json:"archive"`
	Source  string `json:"source"` // absolute path of the chat store
	// Destinations hold the same archive. Each is the one text for its place: of a folder, the absolute path.
	Destinations []string  `json:"destinations"`
	Exclude      []string  `json:"exclude,omitempty"`
	ExcludeFile  string    `json:"exclude_file,omitempty"` // absolute path; read at every backup
	Databases    []string  `json:"databases,omitempty"`    // GLOB[:PAGESIZE] of databases without the SQLite magic
	Created      time.Time `json:"created"`
	// Pending means that a crash may have come before the archive was made.
	Pending bool `json:"pending,omitempty"`
	// KeyChangeAt is the destination at which the key is changed first, while a change is pending: the others get its keyring.
	KeyChangeAt string `json:"key_change_at,omitempty"`
}

const (
	configFile    = "device.json"
	configVersion = 2
)

// OpenDevice returns the device whose state is in dir, an absolute or relative
// path. Nothing is written before something is set up.
func OpenDevice(dir string, o Options) *Device {
	if o.Keys == nil {
		o.Keys = FileKeys(dir)
	}
	if o.OpenDestination == nil {
		o.OpenDestination = OpenDestination
	}
	if o.CanonicalDestination == nil {
		o.CanonicalDestination = canonicalDestination
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Device{dir: dir, o: o}
}

// Dir returns the state directory.
func (d *Device) Dir() string { return d.dir }

func (d *Device) now() time.Time { return d.o.Clock() }

// Config returns what is set up. It returns ErrNotEnabled if nothing is, also
// while a set-up is pending; the Config then says which.
func (d *Device) Config() (Config, error) {
	var read struct {
		Config
		Destination string `json:"destination"` // of version 1, which knew one
	}
	err := d.readJSON(configFile, &read)
	c := read.Config
	if err == nil && c.Version == 1 {
		c.Version, c.Destinations = configVersion, []string{read.Destination}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, ErrNotEnabled
	case err != nil:
		return Config{}, err
	case c.Version != configVersion:
		return Config{}, fmt.Errorf("%w: %s has version %d, this program knows %d; use the program that wrote it",
			ErrState, configFile, c.Version, configVersion)
	case len(c.Destinations) == 0:
		return Config{}, fmt.Errorf("%w: %s names no destination", ErrState, configFile)
	case c.Pending:
		return c, fmt.Errorf("%w: setting it up was interrupted", ErrNotEnabled)
	}
	return c, nil
}

func (d *Device) saveConfig(c Config) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	return d.writeJSON(configFile, c)
}
