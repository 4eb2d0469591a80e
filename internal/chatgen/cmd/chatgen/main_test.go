// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coffer-backup/coffer/internal/chatgen"
)

// TestMain lets this binary be the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("CHATGEN_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CHATGEN_MAIN=1")
	cmd.Stderr = t.Output()
	return cmd
}

func TestGenerateAgeAndHammer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, args := range [][]string{{}, {"-day", "1"}} {
		args = append(args, "-dir", dir, "-messages", "300", "-media", "3", "-mean", "1000", "-tiny", "5", "-seed", "9")
		if err := command(t, args...).Run(); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	cmd := command(t, "-dir", dir, "-hammer")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("first line %q", lines.Text())
	}
	stdin.Close()
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := chatgen.CheckMoment(filepath.Join(dir, filepath.FromSlash(chatgen.MessageDatabase))); err != nil {
		t.Error(err)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-dir", t.TempDir(), "-preset", "huge"}, {"-dir", t.TempDir(), "more"}} {
		if err := command(t, args...).Run(); err == nil {
			t.Errorf("%q: accepted", args)
		}
	}
}
