// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
	"github.com/coffer-backup/coffer/destination"
)

// login asks for what the location needs. It returns nil where this device has nothing to keep.
func (f loginFlags) login(a *app, l destination.Location, secrets destination.Secrets) (*destination.Credentials, error) {
	_, isS3 := l.(destination.S3)
	_, isDrive := l.(destination.Drive)
	switch {
	case f.AccessKey != "" && !isS3:
		return nil, usagef("--access-key goes with s3://")
	case (f.ClientID != "" || f.DeviceCode) && !isDrive:
		return nil, usagef("--client-id and --device-code go with gdrive:")
	}
	switch l := l.(type) {
	case destination.S3:
		return f.s3Keys(a)
	case destination.Drive:
		return f.signIn(a, l, secrets)
	case destination.WebDAV:
		if l.User != "" {
			password, err := a.secret("password", f.SecretFile, fmt.Sprintf("Password of %s at %s (it is not shown): ", printable(l.User), printable(l.Host)))
			return &destination.Credentials{Password: password}, err
		}
	}
	if f.SecretFile != "" {
		return nil, usagef("--secret-file goes with s3://, gdrive: and webdav+https://USER@, which have a secret")
	}
	return nil, nil
}

// s3Keys asks for an access key. The usual environment variables are read at each run, and nothing is kept of them.
func (f loginFlags) s3Keys(a *app) (*destination.Credentials, error) {
	const environment = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	key, there := f.AccessKey, os.Getenv("AWS_ACCESS_KEY_ID") != ""
	if key == "" && f.SecretFile == "" && a.interactive() {
		question := "Access key id: "
		if there {
			question = "Access key id (Enter alone: " + environment + " at each run): "
		}
		var err error
		if key, err = a.ask(question); err != nil {
			return nil, err
		}
	}
	switch {
	case key == "" && f.SecretFile == "" && there:
		a.remark("Nothing is kept: each run reads %s.", environment)
		return nil, nil
	case key == "":
		return nil, usagef("the access key is needed; give --access-key ID and --secret-file FILE, or set %s at each run", environment)
	}
	secret, err := a.secret("secret key", f.SecretFile, "Secret key (it is not shown): ")
	return &destination.Credentials{AccessKey: key, SecretKey: secret}, err
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

// signIn logs in to Google Drive.
func (f loginFlags) signIn(a *app, l destination.Drive, secrets destination.Secrets) (*destination.Credentials, error) {
	client, err := f.client(a, l, secrets)
	if err != nil {
		return nil, err
	}
	authorizer := a.opener(nil).SignIn(l, client)
	var login oauth.Credentials
	if f.DeviceCode {
		login, err = authorizer.Device(a.ctx, func(c oauth.DeviceCode) error {
			a.showCode(c.Address, c.UserCode)
			return nil
		})
	} else {
		login, err = authorizer.Browser(a.ctx, func(address string) error {
			fmt.Fprintf(a.err, "Open this address in a browser on this machine, and allow the access (elsewhere: --device-code):\n%s\n", printable(address))
			if a.interactive() {
				openBrowser(address)
			}
			return nil
		})
	}
	return &destination.Credentials{Drive: login}, err
}

// client is the OAuth client that was named, that of the last login, or asked for.
func (f loginFlags) client(a *app, l destination.Drive, secrets destination.Secrets) (oauth.Client, error) {
	last, err := destination.LoadCredentials(secrets, l)
	if err != nil && !errors.Is(err, destination.ErrNoCredentials) {
		return oauth.Client{}, err
	}
	client := oauth.Client{ID: f.ClientID}
	if was := last.Drive.Client; was.ID != "" {
		switch {
		case client.ID == "" && f.SecretFile == "":
			a.remark("With the OAuth client of the last login, %s.", printable(was.ID))
			return was, nil
		case client.ID != was.ID && l.Folder == "":
			a.warn("the hidden folder of a Drive belongs to one OAuth client: with another than %s this device sees another, empty one", printable(was.ID))
		}
	}
	if client.ID == "" {
		if !a.interactive() {
			return client, usagef("the OAuth client is needed, and there is no terminal to ask on; give --client-id ID and --secret-file FILE")
		}
		if client.ID, err = a.ask("Id of the OAuth client (how to make one: docs/DESTINATIONS.md): "); err != nil {
			return client, err
		}
		if client.ID == "" {
			return client, errors.New("nothing was typed, so nothing was done")
		}
	}
	client.Secret, err = a.secret("secret of the OAuth client", f.SecretFile, "Secret of the OAuth client (it is not shown): ")
	return client, err
}

// openBrowser tries to; who sees no window has the address.
func openBrowser(address string) {
	command := []string{"xdg-open", address}
	switch runtime.GOOS {
	case "darwin":
		command[0] = "open"
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return
		}
	}
	if opener := exec.Command(command[0], command[1:]...); opener.Start() == nil {
		go opener.Wait()
	}
}
