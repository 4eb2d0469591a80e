// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/coffer-backup/coffer/recovery"
)

// The second part of the demo: the same with a password. The vault is a real one, in a process of its own.

const (
	demoAccount  = "alice"
	demoBudget   = 5           // guesses; a vault gives ten if not told otherwise
	demoProvable = time.Second // for which the last guess can be proven right; a vault gives ten minutes

	rightPassword = "seven brown kettles sing"
	nextPassword  = "nine green ladders fall"
)

// vaultStory is what happens to her next.
type vaultStory struct {
	*story
	vault *devVault
	state string // of the registration, in the end
}

func (s *vaultStory) tell() error {
	program, err := findCofferd()
	if err != nil {
		return err
	}
	s.say("With a password instead of the 64 digits. Somebody runs a vault; here it is one for development:\n\n  $ cofferd dev --cooldown 0s --budget %d --provable %s", demoBudget, demoProvable)
	if s.vault, err = startVault(s.a.ctx, program, s.path("vault"), "--listen", "127.0.0.1:0", "--cooldown", "0s", "--budget", fmt.Sprint(demoBudget), "--provable", demoProvable.String()); err != nil {
		return err
	}
	defer s.vault.stop()
	for _, step := range []func() error{s.setPassword, s.loseThePhone, s.guess, s.changePassword, s.guessOn} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// phone is a device that has nothing but a login.
func (s *vaultStory) phone(name string) (*coffer.Device, error) {
	d, err := s.a.openDevice(s.path(name), nil)
	if err != nil {
		return nil, err
	}
	_, err = d.Login(s.a.ctx, coffer.LoginOptions{URL: s.vault.URL, Account: demoAccount, Role: "primary"})
	return d, err
}

func (s *vaultStory) setPassword() (err error) {
	s.say("\nThe owner logs in and sets up a backup with a password:\n\n  $ coffer login %s --account %s\n  $ coffer init chats --to cloud-2 --password", s.vault.URL, demoAccount)
	if s.device, err = s.phone("phone-2"); err != nil {
		return err
	}
	login, err := s.device.LoggedIn()
	if err != nil {
		return err
	}
	s.say("  the vault's fingerprint: %s", login.Fingerprint)
	key := coffer.NewKey()
	defer key.Wipe()
	if err := s.device.Enable(s.a.ctx, coffer.Setup{Source: s.path("chats"), Destination: s.path("cloud-2")}, key); err != nil {
		return err
	}
	if _, err := s.device.SetPassword(s.a.ctx, rightPassword, coffer.PasswordOptions{}); err != nil {
		return err
	}
	s.say("  password: %s\n\n  $ coffer backup", rightPassword)
	_, err = s.backup()
	return err
}

func (s *vaultStory) loseThePhone() (err error) {
	s.say("\nThis phone is lost, too. What is left is the cloud, the account and what she remembers. On a new one:\n\n  $ coffer login %s --account %s", s.vault.URL, demoAccount)
	s.device, err = s.phone("phone-3")
	return err
}

// wrong makes one guess that must be counted and wrong, and says what the user would read.
func (s *vaultStory) wrong(d *coffer.Device, pass string) error {
	s.say("\n  $ coffer restore --from cloud-2 --to chats-2\n  password: %s", pass)
	_, err := d.RecoverKey(s.a.ctx, pass, coffer.RecoverOptions{})
	if _, ok := errors.AsType[*recovery.WrongPassword](err); !ok {
		return fmt.Errorf("a wrong password was not refused: %w", err)
	}
	s.say("  %s", err)
	return nil
}

func (s *vaultStory) guess() error {
	for _, pass := range []string{"seven brown kettles", "seven brown kettles song"} {
		if err := s.wrong(s.device, pass); err != nil {
			return err
		}
	}
	s.say("\n  $ coffer restore --from cloud-2 --to chats-2\n  password: %s", rightPassword)
	r, err := s.device.RecoverKey(s.a.ctx, rightPassword, coffer.RecoverOptions{})
	if err != nil {
		return err
	}
	defer r.Key.Wipe()
	arch, err := s.device.OpenAt(s.a.ctx, s.path("cloud-2"), coffer.ID{}, r.Key, false)
	if err != nil {
		return err
	}
	defer arch.Close()
	report, err := arch.Restore(s.a.ctx, archive.RestoreConfig{Snapshot: "latest", Dir: s.path("chats-2")})
	if err != nil {
		return err
	}
	differences, err := chatgen.Compare(s.path("chats"), s.path("chats-2"))
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return fmt.Errorf("the restored chats differ from the lost ones: %q", differences)
	}
	s.say("  %s, %s, not a byte different; %d guesses left again\n\n  $ coffer init chats-2 --to cloud-2 --adopt",
		count(report.Files, "entry"), byteSize(report.Bytes), r.GuessesLeft)
	_, err = s.device.Adopt(s.a.ctx, coffer.Setup{Source: s.path("chats-2"), Destination: s.path("cloud-2")}, coffer.ID{}, r.Key)
	return err
}

func (s *vaultStory) changePassword() error {
	s.say("\nShe takes another password. Key and archive stay, nothing is uploaded again:\n\n  $ coffer password change\n  password: %s", nextPassword)
	if _, err := s.device.ChangePassword(s.a.ctx, "", nextPassword, coffer.PasswordOptions{}); err != nil {
		return err
	}
	s.say("\nFrom now on the old one is as wrong as any other. Somebody who got into her account, and saw her type it once, tries:")
	return nil
}

// awaitDestroyed waits until nobody can prove the last guess any more.
func (s *vaultStory) awaitDestroyed(d *coffer.Device) error {
	look := time.NewTicker(demoProvable / 10)
	defer look.Stop()
	for {
		status, err := d.VaultStatus(s.a.ctx)
		if err != nil || status.State == "destroyed" {
			return err
		}
		if status.State != "exhausted" {
			return fmt.Errorf("after the last guess the vault says %q", status.State)
		}
		select {
		case <-look.C:
		case <-s.a.ctx.Done():
			return s.a.ctx.Err()
		}
	}
}

// guessOn drives the registration to its end.
func (s *vaultStory) guessOn() error {
	thief, err := s.phone("thief")
	if err != nil {
		return err
	}
	for left := demoBudget; left > 0; left-- {
		if err := s.wrong(thief, fmt.Sprintf("%s%.*s", rightPassword, demoBudget-left, "!!!!!")); err != nil {
			return err
		}
	}
	if err := s.awaitDestroyed(thief); err != nil {
		return err
	}
	s.say("\nNow the right one is worth nothing either:\n\n  $ coffer restore --from cloud-2 --to chats-2\n  password: %s", nextPassword)
	_, err = thief.RecoverKey(s.a.ctx, nextPassword, coffer.RecoverOptions{})
	if !errors.Is(err, recovery.ErrDestroyed) {
		return fmt.Errorf("the key should be destroyed: %w", err)
	}
	s.say("  %s\n\nHer phone still has the key, so she loses nothing: it sets a password anew.\n\n  $ coffer init chats-2 --to cloud-2 --password", err)
	if _, err := s.device.SetPassword(s.a.ctx, rightPassword+" again", coffer.PasswordOptions{}); err != nil {
		return err
	}
	status, err := s.device.VaultStatus(s.a.ctx)
	s.state = status.State
	s.say("  %d guesses\n", status.GuessesLeft)
	return err
}
