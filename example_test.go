// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/recovery"
)

// An app sets up the backup, backs up, and after the loss of the device gets everything back with the digits.
func Example() {
	dir, err := os.MkdirTemp("", "coffer-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	chats, cloud := filepath.Join(dir, "chats"), filepath.Join(dir, "cloud")
	if err := os.Mkdir(chats, 0o700); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(chats, "hello.txt"), []byte("see you at eight"), 0o600); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	// On the first phone. The user writes the digits down before anything is made. An app with SQLite databases
	// also passes Options.CopyDatabase, and where the system has a key store, Options.Keys.
	device := coffer.OpenDevice(filepath.Join(dir, "phone"), coffer.Options{})
	setup := coffer.Setup{Source: chats, Destination: cloud}
	if _, err := device.Prepare(ctx, setup); err != nil {
		log.Fatal(err) // archive.ErrExists: offer to restore
	}
	key := coffer.NewKey()
	writtenDown := key.Digits()
	if err := device.Enable(ctx, setup, key); err != nil {
		log.Fatal(err)
	}
	report, err := device.Backup(ctx, coffer.BackupOptions{})
	if err != nil {
		log.Fatal(coffer.CauseOf(err), err)
	}
	fmt.Println("backed up whole:", !coffer.Incomplete(report))

	// On the next phone.
	key, err = coffer.ParseKey(writtenDown)
	if err != nil {
		log.Fatal(err)
	}
	a, err := coffer.OpenArchive(ctx, cloud, coffer.ID{}, key)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	restored := filepath.Join(dir, "restored")
	if _, err := a.Restore(ctx, archive.RestoreConfig{Snapshot: "latest", Dir: restored}); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(restored, "hello.txt"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))

	// From then on it backs up into the same archive.
	next := coffer.OpenDevice(filepath.Join(dir, "next phone"), coffer.Options{})
	if _, err := next.Adopt(ctx, coffer.Setup{Source: restored, Destination: cloud}, a.ID(), key); err != nil {
		log.Fatal(err)
	}
	report, err = next.Backup(ctx, coffer.BackupOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("anything to upload:", !report.Unchanged)

	// Output:
	// backed up whole: true
	// see you at eight
	// anything to upload: false
}

// An app puts the key into a vault under a password, so that its user has no digits to keep. The app has a login and a connection to
// the vault of its own; without these two Options the device logs in at the vault's gateway, under a URL.
func ExampleDevice_SetPassword() {
	var (
		ctx       = context.Background()
		setup     = coffer.Setup{Source: "chats", Destination: "cloud"}
		accounts  recovery.TokenSource // the app's own
		transport recovery.Transport   // the app's own
	)
	options := coffer.Options{Tokens: accounts, Transport: transport}

	// On the first phone. The fingerprint is shipped with the app, so that no other vault is taken for it.
	phone := coffer.OpenDevice("phone", options)
	if _, err := phone.Login(ctx, coffer.LoginOptions{Fingerprint: "4f1c 09aa ..."}); err != nil {
		log.Fatal(err)
	}
	key := coffer.NewKey()
	if err := phone.Enable(ctx, setup, key); err != nil {
		log.Fatal(err)
	}
	key.Wipe()
	if _, err := phone.SetPassword(ctx, "seven blue herons wade", coffer.PasswordOptions{}); errors.Is(err, coffer.ErrWeakPassword) {
		log.Fatal(err) // says why, and what would be better: ask again
	} else if err != nil {
		log.Fatal(err) // the phone has the key: call SetPassword again
	}

	// On the next phone, after it has logged in, too.
	next := coffer.OpenDevice("next phone", options)
	recovered, err := next.RecoverKey(ctx, "seven blue herons wade", coffer.RecoverOptions{})
	if wrong, ok := errors.AsType[*recovery.WrongPassword](err); ok {
		log.Fatal("guesses left: ", wrong.GuessesLeft) // each one counts: do not try again by yourself
	} else if _, ok := errors.AsType[*recovery.MaybeCounted](err); ok {
		log.Fatal(err) // the answer got lost: the same password again, on the same Device, is free
	} else if err != nil {
		log.Fatal(coffer.CauseOf(err), err)
	}
	defer recovered.Key.Wipe()
	a, err := next.OpenAt(ctx, setup.Destination, coffer.ID{}, recovered.Key, false)
	if errors.Is(err, archive.ErrRolledBack) {
		log.Fatal(err) // the vault knows a newer state than the cloud shows: ask the user
	} else if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Restore(ctx, archive.RestoreConfig{Snapshot: "latest", Dir: setup.Source}); err != nil {
		log.Fatal(err)
	}
	// From here on the password is this phone's, too: Backup, ChangePassword, CheckPassword.
	if _, err := next.Adopt(ctx, setup, a.ID(), recovered.Key); err != nil {
		log.Fatal(err)
	}
}
