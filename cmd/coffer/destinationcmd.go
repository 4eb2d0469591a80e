// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
)

type destinationCmd struct {
	Add    destinationAddCmd    `cmd:"" help:"Log in to a destination, try it, and keep its credentials."`
	List   destinationListCmd   `cmd:"" help:"List what is known, without secrets."`
	Remove destinationRemoveCmd `cmd:"" help:"Forget a destination's credentials; what is there stays."`
	Check  destinationCheckCmd  `cmd:"" help:"Try out on a destination all that an archive rests on."`
}

type destinationListCmd struct{}

// listed is what the user sees of a destination.
type listed struct {
	destination.Known
	Used bool `json:"used"` // the backup of this device goes there
}

func (c *destinationListCmd) Run(a *app) error {
	all, err := a.knownDestinations()
	if err != nil {
		return err
	}
	l, err := a.begin("destinations", map[string]any{})
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := l.add(d.line(), d); err != nil {
			return err
		}
		if w := loginWarning(d.Known, time.Now()); w != "" {
			a.warn("%s", w)
		}
	}
	if l.items == 0 {
		a.remark("No destination is known. Examples: coffer help destinations")
	}
	return l.end(nil)
}

func (d listed) line() string {
	what := "not used by a backup"
	if d.Used {
		what = "the backup of this device"
	}
	switch {
	case d.Stored:
		what += ", credentials kept"
	case d.Kind == destination.KindRclone || d.Kind == destination.KindICloud:
		what += ", credentials are rclone's or the system's"
	case d.Kind != destination.KindFolder:
		what += ", no credentials kept"
	}
	return fmt.Sprintf("%-8s %s  (%s)", d.Kind, printable(d.Destination), what)
}

// knownDestinations are the device's own, and then what was added beside.
func (a *app) knownDestinations() (all []listed, err error) {
	d, err := a.device()
	if err != nil {
		return nil, err
	}
	known, err := destination.Book(d.Dir()).List()
	if err != nil {
		return nil, err
	}
	own, err := ownDestinations(d)
	if err != nil {
		return nil, err
	}
	for _, text := range own {
		l, err := destination.Parse(text)
		if err != nil {
			return nil, err
		}
		entry := listed{destination.Known{Destination: text, Kind: l.Kind()}, true}
		if i := slices.IndexFunc(known, func(k destination.Known) bool { return k.Destination == text }); i >= 0 {
			entry.Known = known[i]
			known = slices.Delete(known, i, i+1)
		}
		all = append(all, entry)
	}
	for _, k := range known {
		all = append(all, listed{k, false})
	}
	return all, nil
}

// ownDestinations are those that the device's backups go to, if any.
func ownDestinations(d *coffer.Device) ([]string, error) {
	config, err := d.Config()
	if errors.Is(err, coffer.ErrNotEnabled) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return config.Destinations, nil
}

// soon is when the end of a login is worth a warning.
const soon = 8 * 24 * time.Hour

// loginWarning tells of a login that ends by itself; empty if it does not, or not soon.
func loginWarning(k destination.Known, now time.Time) string {
	renew := "coffer destination add " + shellQuote(k.Destination)
	switch {
	case k.LoginEnds.IsZero() || k.LoginEnds.Sub(now) > soon:
		return ""
	case now.After(k.LoginEnds):
		return fmt.Sprintf("the login at %s ended on %s; log in again: %s", printable(k.Destination), clock(k.LoginEnds), renew)
	}
	return fmt.Sprintf("the login at %s ends on %s, as those of an OAuth client in testing do; then log in again: %s. A client that is published has logins that last",
		printable(k.Destination), clock(k.LoginEnds), renew)
}

type destinationRemoveCmd struct {
	Destination string `arg:"" help:"Its text, as coffer destination list shows it."`
}

func (destinationRemoveCmd) Help() string {
	return "The backup of this device does not go there any more, and the credentials are forgotten; the archive stays where it is, and so does a grant at the provider: take that back there."
}

func (c *destinationRemoveCmd) Run(a *app) error {
	l, err := destination.Parse(c.Destination)
	if err != nil {
		return err
	}
	d, err := a.device()
	if err != nil {
		return err
	}
	own, err := ownDestinations(d)
	if err != nil {
		return err
	}
	if len(own) == 1 && own[0] == l.String() {
		return outcome{codeUsage, fmt.Sprintf("%s is the one destination of this device's backup, so it stays", printable(l.String())),
			"Add another first: coffer destination add --use OTHER_DEST, then coffer backup\n  To stop backing up: coffer disable"}
	}
	if slices.Contains(own, l.String()) {
		if err := d.RemoveDestination(l.String()); err != nil {
			return err
		}
	}
	book := destination.Book(d.Dir())
	if _, known, err := book.Find(l); err != nil {
		return err
	} else if !known && !slices.Contains(own, l.String()) {
		return outcome{codeNotThere, fmt.Sprintf("this device knows no destination %s", printable(l.String())), "See: coffer destination list"}
	}
	if err := keystore.Existing(d.Dir(), filesOnly()).DeleteSecret(destination.SecretName(l)); err != nil {
		return fmt.Errorf("its credentials are still kept: %w", err)
	}
	if _, err := book.Remove(l); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"removed": l.String()})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Forgot %s. What is stored there stays.\n", printable(l.String()))
	}
	return nil
}
