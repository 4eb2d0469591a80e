// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/schedule"
)

// launchd is macOS's. Its agents run while the user is logged in at the screen.
type launchd struct{ System }

func (l launchd) path(c schedule.Command) string {
	return filepath.Join(l.Home, "Library", "LaunchAgents", c.Label()+".plist")
}

func (l launchd) domain() string { return fmt.Sprintf("gui/%d", l.UID) }

// bootOut stops the agent. That there is none is no failure, and launchctl's exit codes do not tell which it was.
func (l launchd) bootOut(ctx context.Context, c schedule.Command) {
	l.Run(ctx, "launchctl", "bootout", l.domain()+"/"+c.Label())
}

func (l launchd) start(ctx context.Context, c schedule.Command, agent contents) error {
	if err := agent.write(); err != nil {
		return err
	}
	l.bootOut(ctx, c)
	_, err := l.Run(ctx, "launchctl", "bootstrap", l.domain(), l.path(c))
	return err
}

func (l launchd) install(ctx context.Context, c schedule.Command, p schedule.Plan) ([]string, error) {
	agent := contents{l.path(c): []byte(c.LaunchAgent(p))}
	before, err := agent.now()
	if err != nil {
		return nil, err
	}
	if err := l.start(ctx, c, agent); err != nil {
		back := context.WithoutCancel(ctx)
		if before[l.path(c)] == nil {
			err = errors.Join(err, l.remove(back, c))
		} else {
			err = errors.Join(err, l.start(back, c, before))
		}
		return nil, fmt.Errorf("nothing was changed, because launchd did not take the agent: %w", err)
	}
	return []string{"it runs while you are logged in; what was missed in sleep is made up at wake"}, nil
}

func (l launchd) remove(ctx context.Context, c schedule.Command) error {
	l.bootOut(ctx, c)
	return contents{l.path(c): nil}.write()
}

func (l launchd) state(_ context.Context, c schedule.Command, p schedule.Plan) (State, error) {
	return contents{l.path(c): []byte(c.LaunchAgent(p))}.compare()
}
