// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is coffer run by a person: what it prints, and a keyboard.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	ctrl *os.File
	seen strings.Builder // and not yet expected
	all  strings.Builder
}

// atTerminal starts coffer at a terminal of its own. The program is the test binary under the name coffer, which the script tests put into the path.
func atTerminal(t *testing.T, home string, args ...string) *terminal {
	t.Helper()
	ctrl, tty := openPTY(t)
	cmd := exec.Command("coffer", args...)
	cmd.Env = append(os.Environ(), "COFFER_HOME="+home)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); ctrl.Close() })
	return &terminal{t: t, cmd: cmd, ctrl: ctrl}
}

func openPTY(t *testing.T) (ctrl, tty *os.File) {
	t.Helper()
	ctrl, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(ctrl.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(ctrl.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ctrl, tty
}

// expect reads until the screen, from what was expected last, matches, and returns the submatches.
func (c *terminal) expect(pattern string) []string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	buf := make([]byte, 4096)
	for {
		text := c.seen.String()
		if at := re.FindStringSubmatchIndex(text); at != nil {
			match := re.FindStringSubmatch(text)
			c.seen.Reset()
			c.seen.WriteString(text[at[1]:])
			return match
		}
		n, err := c.ctrl.Read(buf)
		c.saw(buf[:n])
		if err != nil {
			c.t.Fatalf("%v while waiting for %q; on the screen: %q", err, pattern, c.seen.String())
		}
	}
}

func (c *terminal) saw(text []byte) {
	c.seen.Write(text)
	c.all.Write(text)
}

func (c *terminal) typeLine(line string) {
	c.t.Helper()
	if _, err := c.ctrl.WriteString(line + "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// end reads the rest and returns the exit code.
func (c *terminal) end() (code int, rest string) {
	c.t.Helper()
	buf := make([]byte, 4096)
	for {
		n, err := c.ctrl.Read(buf)
		c.saw(buf[:n])
		if err != nil { // EIO: the other side is closed
			break
		}
	}
	err := c.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), c.seen.String()
	} else if err != nil {
		c.t.Fatal(err)
	}
	return 0, c.seen.String()
}

var shownKey = `((?:    (?:[0-9a-f]{4} ){3}[0-9a-f]{4}\r\n){4})`

// typeBack answers the two questions after a new key, the first of them wrongly once and in upper case.
func (c *terminal) typeBack(groups []string) {
	c.t.Helper()
	for i := range 2 {
		asked := c.expect(`type group (\d+) of 16: `)
		n, err := strconv.Atoi(asked[1])
		if err != nil {
			c.t.Fatal(err)
		}
		if i == 0 {
			c.typeLine("nope")
			c.expect(`That is not group`)
			c.expect(`type group (\d+) of 16: `)
		}
		c.typeLine(strings.ToUpper(groups[n-1]))
	}
}

func TestAtATerminal(t *testing.T) {
	dir := t.TempDir()
	home, source, dest := filepath.Join(dir, "device"), filepath.Join(dir, "chats"), filepath.Join(dir, "dest")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "a"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}

	// Init shows the key and has two groups of it typed back.
	c := atTerminal(t, home, "init", source, "--to", dest, "--key")
	groups := strings.Fields(c.expect(shownKey)[1])
	c.typeBack(groups)
	if code, rest := c.end(); code != codeOK || !strings.Contains(rest, "Set up: ") {
		t.Fatalf("init: exit code %d, %s", code, rest)
	}
	c = atTerminal(t, home, "backup")
	if code, rest := c.end(); code != codeOK || !strings.Contains(rest, "Snapshot ") {
		t.Fatalf("backup: exit code %d, %s", code, rest)
	}

	// On another device the key is asked for. A mistyped one is named, and may be typed again, in lines as on the paper.
	elsewhere := filepath.Join(dir, "elsewhere")
	out := filepath.Join(dir, "out")
	c = atTerminal(t, elsewhere, "restore", "--from", dest, "--to", out)
	c.expect(`64 digits of the backup key \(they are shown as you type\)`)
	c.typeLine(strings.Repeat("0", 64))
	c.expect(`wrong key.*Try again`)
	for i := 0; i < 16; i += 4 {
		c.expect(`> `)
		c.typeLine(strings.Join(groups[i:i+4], "-"))
	}
	if code, rest := c.end(); code != codeOK {
		t.Fatalf("restore: exit code %d, %s", code, rest)
	}
	if data, err := os.ReadFile(filepath.Join(out, "a")); err != nil || string(data) != "hello" {
		t.Errorf("restored %q, %v", data, err)
	}

	// Three wrong keys are enough; a signal at the question ends at once.
	c = atTerminal(t, elsewhere, "ls", "--from", dest)
	for range tries {
		c.expect(`> `)
		c.typeLine(strings.Repeat("1", 64))
	}
	if code, rest := c.end(); code != codeWrongKey {
		t.Errorf("after three wrong keys: exit code %d, %s", code, rest)
	}
	c = atTerminal(t, elsewhere, "ls", "--from", dest)
	c.expect(`> `)
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, rest := c.end(); code != codeInterrupted {
		t.Errorf("after a signal: exit code %d, %s", code, rest)
	}

	// What cannot be undone wants a word typed.
	c = atTerminal(t, home, "disable")
	c.expect(`Type forget to go on: `)
	c.typeLine("yes")
	if code, _ := c.end(); code != codeFailed {
		t.Errorf("disable without the word: exit code %d", code)
	}
	c = atTerminal(t, home, "disable")
	c.expect(`Type forget to go on: `)
	c.typeLine("forget")
	if code, rest := c.end(); code != codeOK {
		t.Errorf("disable: exit code %d, %s", code, rest)
	}
}

// An interrupt at the question of init leaves nothing, and does not say that anything was kept.
func TestInterruptedAtTheQuestion(t *testing.T) {
	dir := t.TempDir()
	c := atTerminal(t, filepath.Join(dir, "device"), "init", dir, "--to", filepath.Join(dir, "dest"), "--key")
	c.expect(`type group (\d+) of 16: `)
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, rest := c.end(); code != codeInterrupted || !strings.Contains(rest, "nothing was done") || strings.Contains(rest, "kept") {
		t.Errorf("exit code %d, %s", code, rest)
	}
}

// Somebody who has not written the key down gets no archive.
func TestTypedBackWrong(t *testing.T) {
	dir := t.TempDir()
	c := atTerminal(t, filepath.Join(dir, "device"), "init", dir, "--to", filepath.Join(dir, "dest"), "--key")
	for range 3 {
		c.expect(`type group (\d+) of 16: `)
		c.typeLine("zzzz")
	}
	if code, rest := c.end(); code != codeFailed || !strings.Contains(rest, "nothing was done") {
		t.Errorf("exit code %d, %s", code, rest)
	}
	if _, err := os.Stat(filepath.Join(dir, "device", "device.json")); err == nil {
		t.Error("the device is set up all the same")
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "dest")); err != nil || len(entries) > 0 {
		t.Errorf("the destination has %v, %v", entries, err)
	}
}
