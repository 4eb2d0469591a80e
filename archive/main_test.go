// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/folder"
	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/coffer-backup/coffer/sqlitecopy"
)

// TestMain lets the test binary play the processes that tests kill, and those that write to databases: the test process itself
// must not open a database that another one copies.
func TestMain(m *testing.M) {
	roles := map[string]func(args []string) error{
		"backup": childBackup,
		"hammer": childHammer,
		"copy": func([]string) error {
			os.Exit(sqlitecopy.ChildMain(os.Stdin, os.Stdout))
			return nil
		},
	}
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	debug.SetGCPercent(400) // each backup and restore of a test takes its large buffers anew
	os.Exit(m.Run())
}

func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	return exe
}

// child prepares another role of the test binary. It dies with the test.
func child(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Stderr = os.Stderr
	t.Cleanup(func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// A childJob is what a backup in another process needs.
type childJob struct {
	Destination, Source, State string
	Archive, Device            ID
	Key                        string
}

func childBackup(args []string) error {
	var j childJob
	if err := json.Unmarshal([]byte(args[0]), &j); err != nil {
		return err
	}
	key, err := format.ParseKey(j.Key)
	if err != nil {
		return err
	}
	store, err := folder.Open(j.Destination)
	if err != nil {
		return err
	}
	a, err := Open(context.Background(), store, j.Archive, key, Options{Device: j.Device})
	if err != nil {
		return err
	}
	fmt.Println("begin")
	_, err = a.Backup(context.Background(), BackupConfig{Source: j.Source, StateDir: j.State})
	return err
}

// childHammer writes to a database until it is interrupted.
func childHammer(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	_, err := chatgen.HammerNotify(ctx, args[0], func() { fmt.Println("ready") })
	return err
}
