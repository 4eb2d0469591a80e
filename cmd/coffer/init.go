// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
)

type initCmd struct {
	Source       string   `arg:"" help:"Folder of the chat store."`
	To           []string `required:"" sep:"none" placeholder:"DEST" help:"Destination: the path of a folder, or a cloud's text (coffer help destinations); made if it is not there. Repeatable: each gets all snapshots."`
	Key          bool     `xor:"protection" help:"Protect the archive with a key of 64 digits, which you write down."`
	Password     bool     `xor:"protection" help:"Protect it with a password: a vault keeps the key (coffer help password). Log in first."`
	KeyFile      string   `placeholder:"FILE" help:"Also write the key to this new file (0600). With --adopt: read the key from it, - for standard input."`
	PasswordFile string   `placeholder:"FILE" help:"File with the password, - for standard input. Without it you are asked."`
	ShowKey      bool     `help:"Print the key also where standard output is not a terminal."`
	Exclude      []string `sep:"none" placeholder:"PATTERN" help:"Leave out what matches, as in .gitignore. Repeatable."`
	ExcludeFile  string   `placeholder:"FILE" help:"File with one pattern a line; it is read at every backup."`
	Database     []string `sep:"none" placeholder:"GLOB[:PAGESIZE]" help:"Encrypted databases, such as SQLCipher's, which do not begin as SQLite's do. Repeatable."`
	Adopt        bool     `xor:"how" help:"Continue the archive that is at the destination; nothing is uploaded again."`
	Beside       bool     `xor:"how" help:"Make a new archive beside the one at the destination."`
	Archive      string   `placeholder:"ID" help:"With --adopt: which archive, if there are several."`
	Previous     bool     `help:"With --adopt: the password is that of the key before the one in the vault now; it takes that one's place."`
	AcceptOlder  bool     `help:"With --adopt: go on although the archive is older than this device has seen or the vault knows."`
	newPasswordFlags

	done string              `kong:"-"` // what was done, if not a new set-up
	set  *coffer.PasswordSet `kong:"-"` // once a password is set
}

func (initCmd) Help() string {
	return "Run again with the same SOURCE and DEST, it switches between key and password. Nothing is uploaded again.\n\n" + examples(
		"coffer init ~/Chats --to /media/disk/backup --key",
		"coffer init ~/Chats --to /media/disk/backup --password   after coffer login",
		"coffer init ~/Chats --to /media/disk/backup --adopt      after a restore, on the new device",
		"coffer init ~/Chats --to /media/disk/backup --to gdrive: --key   to both",
		"coffer init ~/Chats --to DEST --key --yes --key-file KEY in a script",
	)
}

func (c *initCmd) Run(a *app) error {
	switch {
	case !c.Adopt && !c.Key && !c.Password:
		return usagef("say how the archive is protected: add --key for a key of 64 digits, or --password")
	case (c.Archive != "" || c.AcceptOlder || c.Previous) && !c.Adopt:
		return usagef("--archive, --previous and --accept-older go with --adopt")
	case (c.PasswordFile != "" || c.WeakPassword) && !c.Password && !c.Adopt:
		return usagef("--password-file and --weak-password go with --password")
	}
	d, err := a.deviceToSetUp()
	if err != nil {
		return err
	}
	a.place = c.To[0]
	setup := coffer.Setup{
		Source: c.Source, Destination: c.To[0], Also: c.To[1:], Beside: c.Beside, AcceptOlder: c.AcceptOlder,
		Exclude: c.Exclude, ExcludeFile: c.ExcludeFile, Databases: c.Database,
	}
	do := c.enable
	switch {
	case c.Adopt:
		do = c.adopt
	case c.isSetUp(d):
		do = c.protect
	}
	if err = do(a, d, setup); errors.Is(err, coffer.ErrSource) {
		return usageError{err}
	}
	return err
}

func (c *initCmd) enable(a *app, d *coffer.Device, setup coffer.Setup) error {
	if err := c.canBegin(a, d); err != nil {
		return err
	}
	found, err := d.Prepare(a.ctx, setup)
	switch {
	case errors.Is(err, archive.ErrExists):
		return c.offer(a, found)
	case errors.Is(err, coffer.ErrEnabled) && c.Password && c.isSetUp(d): // an interrupted set-up is complete just now
		return c.toPassword(a, d)
	case err != nil:
		return err
	}
	var pass string
	if c.Password {
		if pass, err = c.readNew(a, d, c.PasswordFile, "--password-file"); err != nil {
			return err
		}
	}
	key := coffer.NewKey()
	defer key.Wipe()
	if !c.Password {
		err = a.handOver(key, c.ShowKey)
	}
	if err == nil {
		err = d.Enable(a.ctx, setup, key)
	}
	if err != nil {
		return err
	}
	if c.Password {
		if err := c.setPassword(a, d, pass); err != nil {
			return fmt.Errorf("the archive is set up, and this device has its key, but the password is not set, so run the same command again: %w", err)
		}
	}
	return c.report(a, d, key)
}

// canBegin looks for what would stop the command, before anything is made or asked.
func (c *initCmd) canBegin(a *app, d *coffer.Device) error {
	if c.KeyFile != "" {
		if err := mustNotExist(c.KeyFile); err != nil {
			return err
		}
	}
	if !c.Password {
		return a.canHandOver(c.KeyFile)
	}
	if _, err := mayRegister(d); err != nil {
		return err
	}
	_, err := d.VaultStatus(a.ctx) // which must answer before there is an archive that waits for it
	return err
}

// canHandOver refuses to make a key that nobody would see.
func (a *app) canHandOver(keyFile string) error {
	if !a.cli.Yes && keyFile == "" && !a.asksBack() {
		return usagef("there is no terminal to show the key on; add --key-file FILE, or --yes to keep the key on this device only")
	}
	return nil
}

// handOver shows a new key and makes sure that the user has it. Standard output of a script may be a log, so there the
// key is shown only on demand.
func (a *app) handOver(key coffer.Key, show bool) error {
	if a.asksBack() {
		fmt.Fprint(a.err, "\nYour backup key. Write it down now: it is the one thing that opens the archive elsewhere.\n\n")
		showKey(a.err, key)
		fmt.Fprintln(a.err)
		return a.typeBack(key)
	}
	if !a.cli.JSON && (show || isTerminal(a.stdout)) {
		showKey(a.out, key)
	}
	return a.out.Flush() // before anything rests on it
}

// asksBack says whether a new key is shown and two of its groups are typed back.
func (a *app) asksBack() bool { return a.interactive() && !a.cli.Yes && !a.cli.JSON }

// offer says what is at the destination, and what one may do with it; restoring comes first.
func (c *initCmd) offer(a *app, found []archive.Found) error {
	what := fmt.Sprintf("there is an archive already at %s", allOf(c.To))
	if len(found) > 1 {
		what = fmt.Sprintf("there are %d archives already at %s", len(found), allOf(c.To))
	}
	for _, f := range found {
		when := "nothing backed up yet"
		if !f.Modified.IsZero() {
			when = "last changed " + clock(f.Modified)
		}
		what += fmt.Sprintf("; %s: %s, %s", f.ID, when, byteSize(f.SizeBytes))
	}
	to, source := toFlags(c.To), shellQuote(c.Source)
	return outcome{codeExists, what, "To get the files back:          coffer restore --from " + shellQuote(c.To[0]) + " --to DIR\n" +
		"  To go on with it on this device: coffer init " + source + " " + to + " --adopt\n" +
		"  To make a new one beside it:     coffer init " + source + " " + to + c.protection() + " --beside"}
}

func (c *initCmd) protection() string {
	if c.Password {
		return " --password"
	}
	return " --key"
}

// report writes the key file, last: the device has the key, so a failure here loses nothing.
func (c *initCmd) report(a *app, d *coffer.Device, key coffer.Key) error {
	_, where, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	config, err := d.Config()
	if err != nil {
		return err
	}
	if c.KeyFile != "" {
		if err := writeKeyFile(c.KeyFile, key); err != nil {
			return outcome{codeFailed, fmt.Sprintf("the archive is set up and this device has the key, but the key file could not be written: %v", err), "Get the key: coffer key show"}
		}
	}
	if a.cli.JSON {
		result := map[string]any{
			"archive": config.Archive, "device": config.Device, "source": config.Source,
			"destination": config.Destinations[0], "destinations": config.Destinations, "key_at": where, "adopted": c.Adopt,
		}
		if c.ShowKey && !c.Adopt {
			result["key"] = key.Digits()
		}
		if c.set != nil {
			result["password_set"] = true
		}
		return a.answer(result)
	}
	if a.cli.Quiet {
		return nil
	}
	verb := "Set up"
	if c.done != "" {
		verb = c.done
	}
	fmt.Fprintf(a.out, "%s: %s to %s, archive %s.\n", verb, printable(config.Source), allOf(config.Destinations), config.Archive)
	fmt.Fprintf(a.out, "This device keeps its copy of the key in %s.\n", where)
	if c.set != nil {
		fmt.Fprintln(a.out, "The vault keeps another under the password, which brings it back on any device that logs in.")
		if c.ShowKey {
			showKey(a.out, key)
		}
	}
	if c.KeyFile != "" && !c.Adopt {
		fmt.Fprintf(a.out, "Another copy is in %s; move it to a safe place.\n", printable(c.KeyFile))
	}
	fmt.Fprintln(a.out, "Next: coffer backup. For a page to print: coffer key kit FILE.html")
	return nil
}
