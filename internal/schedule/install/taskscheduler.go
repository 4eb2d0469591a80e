// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/schedule"
)

// taskScheduler is Windows'. It replaces a task as a whole or not at all, so that nothing is to be put back.
type taskScheduler struct{ System }

func taskName(c schedule.Command) string { return `\Coffer\` + c.Name() }

func (t taskScheduler) install(ctx context.Context, c schedule.Command, p schedule.Plan) (notes []string, err error) {
	text, err := c.WindowsTask(p)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "coffer-task-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "task.xml")
	if err := os.WriteFile(file, schedule.UTF16(text), 0o600); err != nil {
		return nil, err
	}
	if _, err := t.Run(ctx, "schtasks", "/Create", "/TN", taskName(c), "/XML", file, "/F"); err != nil {
		return nil, fmt.Errorf("nothing was changed, because the Task Scheduler did not take the task: %w", err)
	}
	return []string{"it runs while you are logged in; what was missed is made up as soon as you are"}, nil
}

func (t taskScheduler) remove(ctx context.Context, c schedule.Command) error {
	if !t.exists(ctx, c) {
		return nil
	}
	_, err := t.Run(ctx, "schtasks", "/Delete", "/TN", taskName(c), "/F")
	return err
}

// state cannot compare: the Task Scheduler writes the definition in its own words.
func (t taskScheduler) state(ctx context.Context, c schedule.Command, _ schedule.Plan) (State, error) {
	if t.exists(ctx, c) {
		return Current, nil
	}
	return Absent, nil
}

func (t taskScheduler) exists(ctx context.Context, c schedule.Command) bool {
	_, err := t.Run(ctx, "schtasks", "/Query", "/TN", taskName(c))
	return err == nil
}
