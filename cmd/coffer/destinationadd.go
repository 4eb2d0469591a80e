// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
)

type destinationAddCmd struct {
	Destination string `arg:"" help:"Its text, such as s3://BUCKET/PREFIX?endpoint=HOST; see coffer help destinations."`
	Use         bool   `help:"Back up to it from now on, too: the next backup brings this device's archive there."`
	loginFlags
}

// loginFlags answer what is asked at a terminal otherwise. None of them is a secret.
type loginFlags struct {
	AccessKey  string `placeholder:"ID" help:"S3: the id of the access key."`
	ClientID   string `name:"client-id" placeholder:"ID" help:"Google Drive: the OAuth client, your own or that of whoever runs the service."`
	DeviceCode bool   `help:"Google Drive: log in with a code on any device, where there is no browser. Only for gdrive:FOLDER."`
	SecretFile string `placeholder:"FILE" help:"File with the secret, one line, - for standard input: S3's secret key, WebDAV's password, or the OAuth client's secret."`
}

func (destinationAddCmd) Help() string {
	return "It asks at a terminal for what is missing, tries at once whether this device may write, read, list and delete there, and keeps the credentials only if so: in the " +
		"operating system's keyring, or where there is none in a file. Run again, it replaces them. Secrets are never arguments.\n\n" + examples(
		"coffer destination add 's3://chats/phone?endpoint=s3.example.com'",
		"coffer destination add webdav+https://ann@cloud.example.com/remote.php/dav/files/ann/Backup",
		"coffer destination add gdrive:",
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
	known := destination.Known{Destination: l.String(), Kind: l.Kind(), Added: time.Now().UTC()}
	credentials, err := c.login(a, l, secrets)
	if err != nil {
		return err
	}
	// They are tried before they are kept: what is there may be what works.
	var trial destination.Held
	if known.Stored = credentials != nil; known.Stored {
		known.ClientID, known.LoginEnds = credentials.Drive.Client.ID, credentials.Drive.RefreshExpiry
		if err := destination.SaveCredentials(&trial, l, *credentials); err != nil {
			return err
		}
	}
	if err := a.probe(&trial, l); err != nil {
		return fmt.Errorf("tried %s, and nothing was kept: %w", printable(l.String()), err)
	}
	where := ""
	if known.Stored {
		if where, err = keepCredentials(&trial, secrets, l); err != nil {
			return err
		}
	} else if err := secrets.DeleteSecret(destination.SecretName(l)); err != nil { // of an earlier login, which would come before the environment's
		return err
	}
	if err := destination.Book(dir).Add(known); err != nil {
		return err
	}
	if c.Use {
		if err := a.use(dir, secrets, known.Destination); err != nil {
			return err
		}
	}
	return c.report(a, known, where)
}

func (a *app) probe(secrets destination.Secrets, l destination.Location) error {
	var store blob.Store
	store, err := a.opener(secrets).Open(a.ctx, l.String(), true)
	if err != nil {
		return err
	}
	return destination.Probe(a.ctx, store)
}

// keepCredentials moves credentials from the trial to where this device keeps them, and says where that is.
func keepCredentials(trial *destination.Held, secrets keystore.Store, l destination.Location) (where string, err error) {
	name := destination.SecretName(l)
	defer trial.DeleteSecret(name)
	secret, err := trial.LoadSecret(name)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	return secrets.WhereSecret(name), secrets.SaveSecret(name, secret)
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
	return c.sayNext(a, known)
}
