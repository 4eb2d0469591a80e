// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/coffer-backup/coffer/internal/keystore"
	"github.com/coffer-backup/coffer/internal/schedule"
	"github.com/coffer-backup/coffer/sqlitecopy"
)

// cli is the grammar. Commands stand in the order in which people meet them.
type cli struct {
	JSON    bool             `name:"json" help:"Print the result as one JSON document on standard output."`
	Quiet   bool             `short:"q" help:"No progress, no remarks; errors only."`
	Yes     bool             `short:"y" help:"Answer every confirmation with yes."`
	Version kong.VersionFlag `help:"Print the version, as one line of text."`

	Init     initCmd     `cmd:"" group:"backup" help:"Set up the backup of a chat store on this device."`
	Backup   backupCmd   `cmd:"" group:"backup" help:"Make a snapshot."`
	Schedule scheduleCmd `cmd:"" group:"backup" help:"Back up by itself: daily, weekly, monthly, or off."`
	Status   statusCmd   `cmd:"" group:"backup" help:"Say what is set up and how old the last backup is."`

	Restore   restoreCmd   `cmd:"" group:"read" help:"Get files back."`
	Snapshots snapshotsCmd `cmd:"" group:"read" help:"List snapshots."`
	Ls        lsCmd        `cmd:"" group:"read" help:"List what is in a snapshot."`
	Find      findCmd      `cmd:"" group:"read" help:"Find files by name in all snapshots."`
	Diff      diffCmd      `cmd:"" group:"read" help:"Say what changed between two snapshots."`
	Dump      dumpCmd      `cmd:"" group:"read" help:"Write one file to standard output."`

	Verify  verifyCmd  `cmd:"" group:"care" help:"Check that everything can be restored."`
	Prune   pruneCmd   `cmd:"" group:"care" help:"Forget old snapshots by rule, and free their space."`
	Forget  forgetCmd  `cmd:"" group:"care" help:"Forget single snapshots."`
	Repair  repairCmd  `cmd:"" group:"care" help:"Mend a damaged archive."`
	Unlock  unlockCmd  `cmd:"" group:"care" help:"Remove the locks that dead runs left."`
	Copy    copyCmd    `cmd:"" group:"care" help:"Copy an archive to another destination; needs no key."`
	Archive archiveCmd `cmd:"" group:"care" help:"List and delete archives."`

	Login    loginCmd    `cmd:"" group:"vault" help:"Log in to a vault, which keeps the key under a password."`
	Logout   logoutCmd   `cmd:"" group:"vault" help:"Forget the login; the password stays in the vault."`
	Password passwordCmd `cmd:"" group:"vault" help:"Change the password, or check that you know it."`

	Destination destinationCmd `cmd:"" group:"place" help:"Add, list, remove and check the places where archives lie."`

	Key     keyCmd     `cmd:"" group:"key" help:"Show, check, print and change the backup key."`
	Disable disableCmd `cmd:"" group:"key" help:"Stop backing up from this device; the archive stays."`

	Demo       demoCmd       `cmd:"" group:"more" help:"See the whole story on made-up chats, in a temporary folder."`
	Completion completionCmd `cmd:"" group:"more" help:"Print the completion script of a shell."`
	Help       helpCmd       `cmd:"" group:"more" help:"Explain a command or a topic."`

	CompleteWords completeWordsCmd `cmd:"" hidden:""`
}

var groups = []kong.Group{
	{Key: "backup", Title: "Back up"},
	{Key: "read", Title: "Get back, look"},
	{Key: "care", Title: "Look after the archive"},
	{Key: "place", Title: "Destinations"},
	{Key: "vault", Title: "Password and vault"},
	{Key: "key", Title: "Key and device"},
	{Key: "more", Title: "More"},
}

// app is one run of the program.
type app struct {
	cli     cli
	parser  *kong.Kong
	command *kong.Node // that runs
	ctx     context.Context

	in     *os.File
	lines  *bufio.Reader // of in
	stdout *os.File
	out    *bufio.Writer // of stdout
	err    *os.File

	warned        []string           // what was said whatever --quiet says; JSON repeats it
	from          string             // destination that was named with --from, for advice; empty: the device's own
	place         string             // destination that the command sets up, for advice
	known         []coffer.Freshness // what the vault knows of archives, once it has given a key back
	recoveredWith string             // the password that gave it back
	unreadable    error              // what is wrong with the newest state, if an older one was opened for that
	answered      bool               // the JSON document is on its way
	openers       []*destination.Opener
	state         string // state directory that was named to a scheduled run; empty: the usual one
	uploadLimit   int64  // bytes a second; 0: none
	mayRun        func(schedule.Plan) (cause coffer.Cause, why string)
}

func newApp(ctx context.Context, in, out, err *os.File) *app {
	a := &app{ctx: ctx, in: in, lines: bufio.NewReader(in), stdout: out, out: bufio.NewWriter(out), err: err}
	a.mayRun = func(p schedule.Plan) (coffer.Cause, string) { return mayRun(a, p) }
	a.parser = kong.Must(&a.cli,
		kong.Name("coffer"),
		kong.Description("Coffer backs up the folder of a chat app, encrypted and incremental, and gets it back with a password or a 64-digit key."),
		kong.ExplicitGroups(groups),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Help(a.printHelp),
		kong.Writers(out, err),
		kong.Vars{
			"version":       version(),
			"demo_messages": fmt.Sprint(chatgen.Demo.Messages),
			"demo_media":    fmt.Sprint(chatgen.Demo.MediaFiles),
			"demo_mean":     fmt.Sprint(chatgen.Demo.MediaMeanBytes),
			"demo_seed":     fmt.Sprint(chatgen.Demo.Seed),
		},
	)
	return a
}

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, in, out, err *os.File) int {
	return newApp(ctx, in, out, err).run(args)
}

func (a *app) run(args []string) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, parseErr := a.parser.Parse(args)
	if parseErr != nil {
		a.cli.JSON = slices.Contains(args, "--json") // which the parser has not come to

		return a.finish(usageError{parseErr})
	}
	a.command = parsed.Selected()
	return a.finish(parsed.Run(a))
}

// finish writes out what is buffered and explains the error.
func (a *app) finish(err error) int {
	for _, o := range a.openers {
		o.Close() // what a helper has acknowledged is safe already
	}
	if flushErr := a.out.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		return codeOK
	}
	code := a.explain(err)
	a.out.Flush()
	return code
}

// device opens this device, whether anything is set up on it or not.
func (a *app) device() (*coffer.Device, error) {
	dir, files, err := a.home()
	if err != nil {
		return nil, err
	}
	return a.openDevice(dir, keystore.Existing(dir, files))
}

// home is the state directory, and whether all of the device is in it. A scheduled run is told the first, and has the second from
// who set the schedule, because its environment is not the user's.
func (a *app) home() (dir string, files bool, err error) {
	if a.state == "" {
		dir, err = coffer.DefaultStateDir()
		return dir, filesOnly(), err
	}
	stored, err := schedule.Load(a.state)
	if errors.Is(err, schedule.ErrNone) {
		err = nil
	}
	return a.state, stored.KeyFiles, err
}

// deviceToSetUp opens this device for init or login, the first of which decides where secrets will be.
func (a *app) deviceToSetUp() (*coffer.Device, error) {
	dir, err := coffer.DefaultStateDir()
	if err != nil {
		return nil, err
	}
	secrets, err := a.secretsToAdd(dir)
	if err != nil {
		return nil, err
	}
	return a.openDevice(dir, secrets)
}

// filesOnly says that the user has named a state directory, and wants all of the device in it.
func filesOnly() bool { return os.Getenv("COFFER_HOME") != "" }

// secretsToAdd is where a secret goes that a command is about to make: where the device's others are, if it has any.
func (a *app) secretsToAdd(dir string) (keystore.Store, error) {
	secrets := keystore.Existing(dir, filesOnly())
	d, err := a.openDevice(dir, secrets)
	if err != nil {
		return nil, err
	}
	_, notEnabled := d.Config()
	_, notLoggedIn := d.LoggedIn()
	known, err := destination.Book(dir).List()
	if err != nil {
		return nil, err
	}
	stored := slices.ContainsFunc(known, func(k destination.Known) bool { return k.Stored })
	if errors.Is(notEnabled, coffer.ErrNotEnabled) && errors.Is(notLoggedIn, coffer.ErrNotLoggedIn) && !stored {
		return keystore.New(dir, filesOnly()), nil
	}
	return secrets, nil
}

func (a *app) openDevice(dir string, keys keystore.Store) (*coffer.Device, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return coffer.OpenDevice(dir, coffer.Options{
		Keys: keys, CopyDatabase: sqlitecopy.Child(exe, copyDatabase),
		OpenDestination: a.opener(keys).Open, CanonicalDestination: destination.Canonical,
		OnKeyChanged: func() {
			a.warn("a change of the key that had been interrupted is finished now: the archive opens with the new key only; to see it: coffer key show")
		},
		OnPasswordSet: func() {
			a.warn("the setting of a password that had been interrupted is finished now: the new password counts, one before it works no more")
		},
	}), nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "coffer " + info.Main.Version
	}
	return "coffer (unknown version)"
}
