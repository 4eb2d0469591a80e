// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/coffer-backup/coffer/internal/schedule"
)

// systemd is the user's own manager. Only its own programs change it; we write the unit files, which are the user's.
type systemd struct{ System }

func (s systemd) path(unit string) string { return filepath.Join(s.Config, "systemd", "user", unit) }

func timer(c schedule.Command) string   { return c.Name() + ".timer" }
func service(c schedule.Command) string { return c.Name() + ".service" }

func (s systemd) units(c schedule.Command, p schedule.Plan) (contents, error) {
	text, err := c.SystemdService()
	if err != nil {
		return nil, err
	}
	return contents{s.path(service(c)): []byte(text), s.path(timer(c)): []byte(c.SystemdTimer(p))}, nil
}

// ctl runs systemctl for the user's manager.
func (s systemd) ctl(ctx context.Context, args ...string) error {
	_, err := s.Run(ctx, "systemctl", append([]string{"--user", "--no-ask-password"}, args...)...)
	return err
}

// answers reports whether the user has a manager that answers.
func (s systemd) answers(ctx context.Context) error {
	if err := s.ctl(ctx, "show", "--property=Version"); err != nil {
		return fmt.Errorf("%w: systemd does not answer for this user: %w", ErrNoScheduler, err)
	}
	return nil
}

func (s systemd) install(ctx context.Context, c schedule.Command, p schedule.Plan) ([]string, error) {
	units, err := s.units(c, p)
	if err != nil {
		return nil, err
	}
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	before, err := units.now()
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, c, units); err != nil {
		return nil, fmt.Errorf("nothing was changed, because systemd did not take the timer: %w", errors.Join(err, s.back(ctx, c, before)))
	}
	return s.lingering(ctx), nil
}

func (s systemd) start(ctx context.Context, c schedule.Command, units contents) error {
	if err := units.write(); err != nil {
		return err
	}
	if err := s.ctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := s.ctl(ctx, "enable", timer(c)); err != nil {
		return err
	}
	return s.ctl(ctx, "restart", timer(c)) // a timer that runs already takes its new time only so
}

// back restores what was there before a failed installation. The context may have ended.
func (s systemd) back(ctx context.Context, c schedule.Command, before contents) error {
	ctx = context.WithoutCancel(ctx)
	if before[s.path(timer(c))] == nil {
		return s.remove(ctx, c)
	}
	return s.start(ctx, c, before)
}

// remove also works where systemd does not answer: without its files the timer is gone at the next start.
func (s systemd) remove(ctx context.Context, c schedule.Command) error {
	files := contents{s.path(service(c)): nil, s.path(timer(c)): nil, s.path("timers.target.wants/" + timer(c)): nil}
	if !files.anyExists() {
		return nil
	}
	if s.answers(ctx) != nil {
		return files.write()
	}
	if exists(s.path(timer(c))) {
		if err := s.ctl(ctx, "disable", "--now", timer(c)); err != nil {
			return fmt.Errorf("the timer is still there: %w", err)
		}
		// When it last ran, which Persistent= keeps, and that a run has failed. Where systemd cannot forget these, they harm nobody.
		s.ctl(ctx, "clean", "--what=state", timer(c))
		s.ctl(ctx, "reset-failed", service(c))
	}
	if err := files.write(); err != nil {
		return err
	}
	return s.ctl(ctx, "daemon-reload")
}

func (s systemd) state(ctx context.Context, c schedule.Command, p schedule.Plan) (State, error) {
	units, err := s.units(c, p)
	if err != nil {
		return Absent, err
	}
	state, err := units.compare()
	if err != nil || state == Absent {
		return Absent, err
	}
	if s.answers(ctx) == nil && s.ctl(ctx, "is-active", "--quiet", timer(c)) != nil {
		return Absent, nil
	}
	return state, nil
}

// lingering says what happens while nobody is logged in.
func (s systemd) lingering(ctx context.Context) []string {
	out, err := s.Run(ctx, "loginctl", "show-user", s.User, "--property=Linger", "--value")
	if err == nil && strings.TrimSpace(out) == "yes" {
		return nil
	}
	return []string{"it runs while you are logged in, and what was missed is made up when you log in again. " +
		"To back up also while you are logged out: loginctl enable-linger (a key in the keyring cannot be had then; see coffer help schedule)"}
}
