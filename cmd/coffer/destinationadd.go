// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
)

type destinationAddCmd struct {
	Destination string `arg:"" help:"Its text, such as s3://BUCKET/PREFIX?endpoint=HOST; see coffer help destinations."`
	AccessKey   string `placeholder:"ID" help:"S3: the id of the access key. Without it you are asked."`
	Use         bool   `help:"Back up to it from now on, too: the next backup brings this device's archive there."`
	SecretFile  string `placeholder:"FILE" help:"File with the secret, one line, - for standard input: S3's secret key, or WebDAV's password. Without it you are asked."`
}

func (destinationAddCmd) Help() string {
	return "It asks at a terminal for what is missing, tries at once whether this device may write, read, list and delete there, and keeps the credentials only if so: in the " +
		"operating system's keyring, or where there is none in a file. Run again, it replaces them. Secrets are never arguments.\n\n" + examples(
		"coffer destination add 's3://chats/phone?endpoint=s3.example.com'",
		"coffer destination add webdav+https://ann@cloud.example.com/remote.php/dav/files/ann/Backup",
		"coffer destination add s3://chats --access-key ID --secret-file - <SECRET   in a script",
	)
}

func (c *destinationAddCmd) Run(a *app) error {
	l, err := destination.Parse(c.Destination)
	if err != nil {
		return err
	}
	a.place = l.String()
	dir, err := coffer.DefaultStateDir()
	if err != nil {
		return err
	}
	secrets, err := a.secretsToAdd(dir)
	if err != nil {
		return err
	}
	credentials, stored, err := c.credentials(a, l)
	if err != nil {
		return err
	}
	var trial destination.Held
	if stored {
		if err := destination.SaveCredentials(&trial, l, credentials); err != nil {
			return err
		}
	}
	store, err := a.opener(&trial).Open(a.ctx, l.String(), true)
	if err == nil {
		err = destination.Probe(a.ctx, store)
	}
	if err != nil {
		return fmt.Errorf("tried %s, and nothing was kept: %w", printable(l.String()), err)
	}
	known := destination.Known{Destination: l.String(), Kind: l.Kind(), Added: time.Now().UTC(), Stored: stored}
	if stored {
		if err := destination.SaveCredentials(secrets, l, credentials); err != nil {
			return err
		}
	}
	if err := destination.Book(dir).Add(known); err != nil {
		return err
	}
	where := ""
	if stored {
		where = secrets.WhereSecret(destination.SecretName(l))
	}
	if c.Use {
		if err := c.use(a, dir, secrets, known.Destination); err != nil {
			return err
		}
	}
	return c.report(a, known, where)
}

// use adds the destination to those of this device's backup. Run again, it changes nothing.
func (c *destinationAddCmd) use(a *app, dir string, secrets keystore.Store, text string) error {
	d, err := a.openDevice(dir, secrets)
	if err != nil {
		return err
	}
	config, err := d.Config()
	if err != nil || slices.Contains(config.Destinations, text) {
		return err
	}
	found, err := d.AddDestination(a.ctx, text)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.ID != config.Archive {
			a.remark("note: another archive is there, %s; it is left alone", f.ID)
		}
	}
	return nil
}

// credentials asks for what the location needs. stored is false where there is nothing to keep.
func (c *destinationAddCmd) credentials(a *app, l destination.Location) (credentials destination.Credentials, stored bool, err error) {
	if _, isS3 := l.(destination.S3); c.AccessKey != "" && !isS3 {
		return credentials, false, usagef("--access-key goes with s3://")
	}
	switch l := l.(type) {
	case destination.S3:
		return c.s3Keys(a)
	case destination.WebDAV:
		if l.User == "" {
			break
		}
		credentials.Password, err = a.secret("password", c.SecretFile, fmt.Sprintf("Password of %s at %s (it is not shown): ", printable(l.User), printable(l.Host)))
		return credentials, true, err
	}
	if c.SecretFile != "" {
		return credentials, false, usagef("--secret-file goes with s3:// and with webdav+https://USER@, which have a secret")
	}
	return credentials, false, nil
}

// s3Keys asks for an access key. The usual environment variables are read at each run, and nothing is kept of them.
func (c *destinationAddCmd) s3Keys(a *app) (credentials destination.Credentials, stored bool, err error) {
	credentials.AccessKey = c.AccessKey
	fromEnvironment := os.Getenv("AWS_ACCESS_KEY_ID") != ""
	if credentials.AccessKey == "" && c.SecretFile == "" {
		question := "Access key id: "
		if fromEnvironment {
			question = "Access key id (Enter alone: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY at each run): "
		}
		switch {
		case a.interactive():
			if credentials.AccessKey, err = a.ask(question); err != nil {
				return credentials, false, err
			}
		case !fromEnvironment:
			return credentials, false, usagef("the access key is needed, and there is no terminal to ask on; give --access-key ID and --secret-file FILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY at each run")
		}
		if credentials.AccessKey == "" && fromEnvironment {
			a.remark("Nothing is kept: each run reads AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
			return credentials, false, nil
		}
	}
	if credentials.AccessKey == "" {
		return credentials, false, usagef("the id of the access key is needed: --access-key ID")
	}
	credentials.SecretKey, err = a.secret("secret key", c.SecretFile, "Secret key (it is not shown): ")
	return credentials, true, err
}

// secret reads one from a file, or asks for it.
func (a *app) secret(what, file, question string) (string, error) {
	if file != "" {
		return a.readSecretFile(what, file)
	}
	if !a.interactive() {
		return "", usagef("the %s is needed, and there is no terminal to ask on; give --secret-file FILE, or --secret-file - for standard input", what)
	}
	answer, err := a.askSecret(question)
	if err == nil && answer == "" {
		err = errors.New("nothing was typed, so nothing was done")
	}
	return answer, err
}

func (c *destinationAddCmd) report(a *app, known destination.Known, where string) error {
	if w := loginWarning(known, time.Now()); w != "" {
		a.warn("%s", w)
	}
	if a.cli.JSON {
		return a.answer(struct {
			destination.Known
			Where string `json:"credentials_at,omitempty"`
		}{known, where})
	}
	if a.cli.Quiet {
		return nil
	}
	fmt.Fprintf(a.out, "It works: this device may write, read, list and delete at %s.\n", printable(known.Destination))
	if where != "" {
		fmt.Fprintf(a.out, "The credentials are kept in %s.\n", where)
	}
	own, err := a.ownDestinations()
	if err != nil {
		return err
	}
	switch {
	case c.Use:
		fmt.Fprintln(a.out, "The next backup brings the archive there: coffer backup")
	case len(own) == 0:
		fmt.Fprintf(a.out, "Next: coffer init SOURCE --to %s --key\n", shellQuote(known.Destination))
	case !slices.Contains(own, known.Destination):
		fmt.Fprintf(a.out, "To back up there, too: coffer destination add --use %s\n", shellQuote(known.Destination))
	}
	return nil
}
