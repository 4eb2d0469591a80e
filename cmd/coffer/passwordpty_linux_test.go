// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// aVault starts a vault for one test.
func aVault(t *testing.T, flags ...string) *devVault {
	t.Helper()
	program, err := buildCofferd()
	if err != nil {
		t.Fatal(err)
	}
	v, err := startVault(t.Context(), program, t.TempDir(), append([]string{"--listen", "127.0.0.1:0"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.stop)
	return v
}

// ends wants an exit code, and that nothing secret was ever on the screen.
func (c *terminal) ends(want int, secrets ...string) string {
	c.t.Helper()
	code, rest := c.end()
	if code != want {
		c.t.Fatalf("exit code %d, want %d: %s", code, want, rest)
	}
	for _, secret := range secrets {
		if strings.Contains(c.all.String(), secret) {
			c.t.Errorf("%q was on the screen: %s", secret, c.all.String())
		}
	}
	return rest
}

func (c *terminal) echoes() bool {
	c.t.Helper()
	settings, err := unix.IoctlGetTermios(int(c.ctrl.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

func TestPasswordAtATerminal(t *testing.T) {
	v := aVault(t)
	dir := t.TempDir()
	home, source, dest := filepath.Join(dir, "device"), filepath.Join(dir, "chats"), filepath.Join(dir, "dest")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "a"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	const right, other = "seven brown kettles sing", "nine green ladders fall"
	atTerminal(t, home, "login", v.URL, "--account", "heidi").ends(codeOK)

	// A weak password is explained, a mistyped one noticed; nothing that is typed is shown.
	c := atTerminal(t, home, "init", source, "--to", dest, "--password")
	c.expect(`New password .*: `)
	c.typeLine("iloveyou")
	c.expect(`too weak.*passwords that most people use.*Try again`)
	c.expect(`New password .*: `)
	c.typeLine(right)
	c.expect(`once more: `)
	c.typeLine(other)
	c.expect(`not the same.*Try again`)
	c.expect(`New password .*: `)
	c.typeLine(right)
	c.expect(`once more: `)
	c.typeLine(right)
	c.ends(codeOK, right, other, "iloveyou")
	atTerminal(t, home, "backup").ends(codeOK)

	c = atTerminal(t, home, "password", "check")
	c.expect(`Password .*: `)
	c.typeLine(other)
	c.expect(`No guess was used. Try again`)
	c.expect(`Password .*: `)
	c.typeLine(right)
	if rest := c.ends(codeOK, right, other); !strings.Contains(rest, "Right") {
		t.Errorf("printed %q", rest)
	}

	// A guess is made once. Enter alone asks for the digits.
	elsewhere := filepath.Join(dir, "elsewhere")
	atTerminal(t, elsewhere, "login", v.URL, "--account", "heidi").ends(codeOK)
	c = atTerminal(t, elsewhere, "restore", "--from", dest, "--to", filepath.Join(dir, "out"))
	c.expect(`Password .*: `)
	c.typeLine(other)
	if rest := c.ends(codeWrongPassword, other); !strings.Contains(rest, "One guess was used, 9 left") {
		t.Errorf("printed %q", rest)
	}
	c = atTerminal(t, elsewhere, "restore", "--from", dest, "--to", filepath.Join(dir, "out"))
	c.expect(`Password .*: `)
	c.typeLine("")
	c.expect(`64 digits of the backup key`)
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end()
	c = atTerminal(t, elsewhere, "restore", "--from", dest, "--to", filepath.Join(dir, "out"))
	c.expect(`Password .*: `)
	c.typeLine(right)
	c.ends(codeOK, right)
	if data, err := os.ReadFile(filepath.Join(dir, "out", "a")); err != nil || string(data) != "hello" {
		t.Errorf("restored %q, %v", data, err)
	}

	// What ends the password ends with it, or with a word.
	c = atTerminal(t, home, "disable")
	c.expect(`Password .*: `)
	c.typeLine(right)
	c.expect(`Type forget to go on: `)
	c.typeLine("forget")
	c.ends(codeOK, right)
}

// A terminal that a signal takes back shows what is typed again.
func TestInterruptedAtThePassword(t *testing.T) {
	v := aVault(t)
	dir := t.TempDir()
	home := filepath.Join(dir, "device")
	atTerminal(t, home, "login", v.URL, "--account", "ivan").ends(codeOK)
	c := atTerminal(t, home, "init", dir, "--to", filepath.Join(dir, "dest"), "--password")
	c.expect(`New password .*: `)
	if c.echoes() {
		t.Error("it asks before the terminal hides what is typed")
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.expect(`nothing was done`)
	if !c.echoes() {
		t.Error("the terminal shows nothing any more")
	}
	c.ends(codeInterrupted)
}
