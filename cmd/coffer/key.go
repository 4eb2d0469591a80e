// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/internal/kit"
	"github.com/coffer-backup/coffer/recovery"
)

type keyCmd struct {
	Show   keyShowCmd   `cmd:"" help:"Print this device's copy of the key."`
	Check  keyCheckCmd  `cmd:"" help:"Say whether a key is the right one."`
	Kit    keyKitCmd    `cmd:"" help:"Make a page to print, with the key and how to restore."`
	Change keyChangeCmd `cmd:"" help:"Make a new key."`
}

type keyShowCmd struct{}

func (c *keyShowCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	key, where, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if a.cli.JSON {
		return a.answer(map[string]any{"key": key.Digits(), "key_at": where})
	}
	showKey(a.out, key)
	return nil
}

type keyCheckCmd struct {
	From    string `placeholder:"DEST" help:"Check against the archive there, instead of this device's copy of the key."`
	KeyFile string `placeholder:"FILE" help:"File with the 64 digits, - for standard input. Without it you are asked."`
	Archive string `placeholder:"ID" help:"With --from: which archive."`
}

func (keyCheckCmd) Help() string {
	return "Do it now and then with the copy that you wrote down. Nothing counts the attempts."
}

func (c *keyCheckCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	id, err := parseArchiveID(c.Archive)
	if err != nil {
		return err
	}
	a.from = c.From
	check := func(key coffer.Key) error {
		arch, err := d.OpenAt(a.ctx, c.From, id, key, true)
		if err == nil {
			id = arch.ID()
			arch.Close()
		}
		return err
	}
	if c.From == "" {
		config, err := d.Config()
		if err != nil {
			return err
		}
		own, _, err := d.Key(a.ctx)
		if err != nil {
			return err
		}
		defer own.Wipe()
		id = config.Archive
		check = func(key coffer.Key) error { return sameKey(key, own) }
	}
	key, err := a.tryKeys(c.KeyFile, check)
	if err != nil {
		if c.From == "" && errors.Is(err, archive.ErrWrongKey) {
			return outcome{codeWrongKey, "wrong key: it is not the key of this device's archive", "This device's own copy is right: coffer key show, coffer key kit FILE.html"}
		}
		return err
	}
	key.Wipe()
	if a.cli.JSON {
		return a.answer(map[string]any{"right": true, "archive": id})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Right: this is the key of archive %s.\n", id)
	}
	return nil
}

func sameKey(x, y coffer.Key) error {
	if subtle.ConstantTimeCompare([]byte(x.Digits()), []byte(y.Digits())) == 1 {
		return nil
	}
	return archive.ErrWrongKey
}

type keyKitCmd struct {
	File string `arg:"" help:"New HTML file, 0600."`
}

func (keyKitCmd) Help() string {
	return "Open it in a browser, print it, and delete it. It needs nothing from the network.\n\n" + examples("coffer key kit kit.html")
}

func (c *keyKitCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	config, err := d.Config()
	if err != nil {
		return err
	}
	if err := mustNotExist(c.File); err != nil {
		return err
	}
	key, _, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	from := config.Destinations[0]
	if i := slices.IndexFunc(config.Destinations, isRemote); i >= 0 { // a folder of this device may be lost with it
		from = config.Destinations[i]
	}
	page := kit.Kit{
		Digits: key.Digits(), Archive: config.Archive.String(), Source: config.Source, Made: time.Now(),
		Restore: "coffer restore --from " + shellQuote(from) + " --to FOLDER",
	}
	if page.Places, err = a.places(); err != nil {
		return err
	}
	err = createSecret(c.File, func(w io.Writer) error { return kit.Write(w, page) })
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"file": c.File})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Wrote %s. Open it in a browser, print it, and delete it: it holds the key.\n", printable(c.File))
	}
	return nil
}

// places are this device's destinations, with how another device gets access to each.
func (a *app) places() (all []kit.Place, err error) {
	known, err := a.knownDestinations()
	for _, k := range known {
		if !k.Used {
			continue
		}
		place := kit.Place{Destination: k.Destination, ClientID: k.ClientID}
		if isRemote(k.Destination) {
			place.SignIn = "coffer destination add " + shellQuote(k.Destination)
		}
		if k.ClientID != "" {
			place.SignIn += " --client-id " + shellQuote(k.ClientID)
		}
		all = append(all, place)
	}
	return all, err
}

type keyChangeCmd struct {
	KeyFile      string `placeholder:"FILE" help:"Also write the new key to this new file (0600), before anything is changed."`
	ShowKey      bool   `help:"Print the new key also where standard output is not a terminal."`
	PasswordFile string `placeholder:"FILE" help:"Where a password is set: file with it, - for standard input; it then brings back the new key."`
}

const notProtected = "What was written before the change stays readable with the old key for whoever has that key and a copy of the destination from before. " +
	"If the old key is in wrong hands, they may have one: then begin a new archive (coffer init --beside) and delete this one."

func (keyChangeCmd) Help() string {
	return "Everything that is written from now on is encrypted under new keys; nothing is uploaded again. " + notProtected +
		"\n\nWhere a password is set it brings back the new key from then on. Other devices that continue this archive need the new key (coffer init --adopt). Written copies and kits of the old one are out of date."
}

func (c *keyChangeCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	if err := a.canHandOver(c.KeyFile); err != nil {
		return err
	}
	change := d.ChangeKey
	if login, err := d.LoggedIn(); err == nil && login.HasPassword {
		pass, err := a.askForPassword(d, c.PasswordFile)
		if err != nil {
			return err
		}
		change = func(ctx context.Context, next coffer.Key) error {
			return d.ChangeKeyWithPassword(ctx, next, pass, coffer.PasswordOptions{AllowWeak: true}) // it was judged when it was set
		}
	}
	next, _, err := d.PendingKey()
	switch pending := err == nil; {
	case pending:
		a.warn("a change of the key is pending; this goes on with it and its new key")
	case errors.Is(err, coffer.ErrNoKey):
		next = format.NewKey()
	default:
		return err
	}
	defer next.Wipe()
	written, err := a.keyFileHolds(c.KeyFile, next)
	if err != nil {
		return err
	}
	// Before a new key is shown to anybody, the old one and the destination must work.
	arch, err := opened(a)(d.Open(a.ctx, false))
	if err != nil {
		return err
	}
	arch.Close()
	// From here on the user has the new key, whatever happens to this process.
	if err := a.handOver(next, c.ShowKey); err != nil {
		return err
	}
	if c.KeyFile != "" && !written {
		if err := writeKeyFile(c.KeyFile, next); err != nil {
			return fmt.Errorf("the key is not changed, because the key file could not be written: %w", err)
		}
	}
	err = change(a.ctx, next)
	if errors.Is(err, recovery.ErrReplaced) || errors.Is(err, recovery.ErrDestroyed) {
		a.warn("the key is changed, but: %v", err)
	} else if err != nil {
		return c.stopped(d, next, written, err)
	}
	return c.report(a, d, next)
}

// keyFileHolds reports whether an earlier run has written the key to the file. Any other file there is an error.
func (a *app) keyFileHolds(path string, key coffer.Key) (bool, error) {
	if path == "" {
		return false, nil
	}
	if path != "-" {
		if there, err := a.readKeyFile(path); err == nil {
			defer there.Wipe()
			if sameKey(there, key) == nil {
				return true, nil
			}
		}
	}
	return false, mustNotExist(path)
}

// stopped says how far a change of the key came. A key file with a key that will never be used would only mislead.
func (c *keyChangeCmd) stopped(d *coffer.Device, next coffer.Key, written bool, cause error) error {
	pending, where, err := d.PendingKey()
	switch {
	case errors.Is(err, coffer.ErrNoKey), err == nil && sameKey(pending, next) != nil:
		if c.KeyFile != "" && !written {
			os.Remove(c.KeyFile)
		}
		return fmt.Errorf("the key is not changed: %w", cause)
	case err != nil:
		return fmt.Errorf("the key may be changed by the next run (%v): %w", err, cause)
	}
	if c.KeyFile != "" {
		where = printable(c.KeyFile) + " and " + where
	}
	return fmt.Errorf("the change of the key is pending, and the next run that reaches the destination finishes it with the new key, which is in %s: %w", where, cause)
}

func (c *keyChangeCmd) report(a *app, d *coffer.Device, next coffer.Key) error {
	_, where, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	if c.KeyFile == "" && !a.asksBack() && !c.ShowKey && (a.cli.JSON || !isTerminal(a.stdout)) {
		a.warn("the only copy of the new key is on this device, in %s; make another: coffer key kit FILE.html", where)
	}
	if a.cli.JSON {
		result := map[string]any{"changed": true, "key_at": where, "not_protected": notProtected}
		if c.ShowKey {
			result["key"] = next.Digits()
		}
		return a.answer(result)
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "The key is changed. This device keeps its copy in %s.\n%s\nPrint a new kit: coffer key kit FILE.html\n", where, notProtected)
	}
	return nil
}
