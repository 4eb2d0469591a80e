// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile are names of folders with all that some scheduler, or the language that it is told in, gives a meaning.
var hostile = []string{
	"/srv/plain",
	"/srv/with space",
	"/srv/100% %h %n %%",
	"/srv/$HOME ${HOME} $$ $(id) `id`",
	`/srv/it's "quoted"`,
	`/srv/back\slash\n\`,
	"/srv/<tag> &amp; ]]>",
	"/srv/größe 日本",
	"/srv/;|&#!*?[x]{y}~ -x --state",
	"/srv/{{.}} %s %!d",
}

func command(t *testing.T, program, stateDir string) Command {
	t.Helper()
	c, err := NewCommand(program, stateDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func want(c Command) []string {
	return append([]string{c.program}, c.arguments()...)
}

func TestGolden(t *testing.T) {
	p := plan(t, Words{Every: "weekly", At: "02:30", OnlyOnPower: true})
	c := command(t, "/opt/Coffer 100%/coffer", "/srv/A&B's $state \"dir\"")
	service, err := c.SystemdService()
	if err != nil {
		t.Fatal(err)
	}
	task, err := command(t, `C:\Program Files\Coffer\coffer.exe`, `D:\A&B's $state\`).WindowsTask(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"systemd.service":   service,
		"systemd.timer":     c.SystemdTimer(p),
		"launchd.plist":     c.LaunchAgent(p),
		"taskscheduler.xml": task,
		"crontab":           c.CrontabLine(p) + "\n",
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if golden, err := os.ReadFile(path); err != nil || string(golden) != got {
			t.Errorf("%s differs from the golden file (%v):\n%s", name, err, got)
		}
	}
}

func TestNewCommandRefuses(t *testing.T) {
	for _, path := range []string{"", "/a\nb", "/a\x00b", "/a\x1bb", "/a\x7fb", "/a\u0085b", "/a\xffb", "/a\uFFFDb", "/a\uFFFEb"} {
		if _, err := NewCommand("/bin/coffer", path); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := NewCommand(path, "/srv"); !errors.Is(err, ErrName) {
			t.Errorf("program %q: %v", path, err)
		}
	}
	for _, path := range []string{`C:\%TEMP%`, `C:\$(Arg0)`, `C:\a"b`} {
		if _, err := command(t, `C:\coffer.exe`, path).WindowsTask(Plan{}); !errors.Is(err, ErrName) {
			t.Errorf("Windows, %q: %v", path, err)
		}
	}
	for _, path := range []string{`/opt/it's`, `/opt/"x"`, `/opt/back\slash`} {
		if _, err := command(t, path, "/srv").SystemdService(); !errors.Is(err, ErrName) {
			t.Errorf("systemd, %q: %v", path, err)
		}
	}
}

func TestNamesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, dir := range hostile {
		name := command(t, "/bin/coffer", dir).Name()
		if other, ok := seen[name]; ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is called %s, as %q is", dir, name, other)
		}
		seen[name] = dir
	}
}

// systemd itself reads the units, and says what it understood.
func TestSystemdUnderstands(t *testing.T) {
	dir := t.TempDir()
	p := plan(t, Words{Every: "daily", At: "23:59"})
	for _, stateDir := range hostile {
		c := command(t, "/bin/true", stateDir)
		text, err := c.SystemdService()
		if err != nil {
			t.Fatal(err)
		}
		service, timer := filepath.Join(dir, c.Name()+".service"), filepath.Join(dir, c.Name()+".timer")
		if err := errors.Join(os.WriteFile(service, []byte(text), 0o600), os.WriteFile(timer, []byte(c.SystemdTimer(p)), 0o600)); err != nil {
			t.Fatal(err)
		}
		verify := exec.Command("systemd-analyze", "verify", "--user", "--man=no", service, timer)
		verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
		if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%q: %v\n%s\n%s", stateDir, err, out, text)
		}
	}
}

func TestPlistReadsBack(t *testing.T) {
	for _, dir := range hostile {
		c := command(t, "/opt/"+dir, dir)
		var plist struct {
			Strings []string `xml:"dict>string"`
			Words   []string `xml:"dict>array>string"`
			Minute  int      `xml:"dict>dict>integer"`
		}
		if err := strictXML(c.LaunchAgent(Plan{Minute: 42}), &plist); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(plist.Words, want(c)) || plist.Minute != 42 || plist.Strings[0] != c.Label() {
			t.Errorf("%q: %+v", dir, plist)
		}
	}
}

func TestWindowsTaskReadsBack(t *testing.T) {
	for _, dir := range []string{`C:\plain`, `C:\Program Files\x`, `D:\trailing space\`, `D:\it's <a> & b`, `\\server\share x\`, `D:\größe 日本`, `D:\`, `E:\two  spaces\\`} {
		c := command(t, `C:\Program Files\it's & <coffer>.exe`, dir)
		text, err := c.WindowsTask(Plan{Minute: 7, OnlyOnPower: true})
		if err != nil {
			t.Fatal(err)
		}
		var task struct {
			Command   string `xml:"Actions>Exec>Command"`
			Arguments string `xml:"Actions>Exec>Arguments"`
			Start     string `xml:"Triggers>CalendarTrigger>StartBoundary"`
			Battery   bool   `xml:"Settings>DisallowStartIfOnBatteries"`
		}
		if err := strictXML(decodeUTF16(t, UTF16(text)), &task); err != nil {
			t.Fatal(err)
		}
		if got := append([]string{task.Command}, splitWindows(task.Arguments)...); !slices.Equal(got, want(c)) {
			t.Errorf("%q: %q, want %q", dir, got, want(c))
		}
		if task.Start != "2020-01-01T00:07:00" || !task.Battery {
			t.Errorf("%+v", task)
		}
	}
}

func decodeUTF16(t *testing.T, data []byte) string {
	t.Helper()
	var units []uint16
	for pair := range slices.Chunk(data, 2) {
		units = append(units, uint16(pair[0])|uint16(pair[1])<<8)
	}
	text, ok := strings.CutPrefix(string(utf16.Decode(units)), "\uFEFF")
	if !ok {
		t.Error("no byte order mark")
	}
	return text
}

func strictXML(text string, v any) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // decoded already
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != nil && err != io.EOF {
		if chars, ok := err.(*xml.SyntaxError); ok {
			return chars
		}
		return err
	}
	return nil
}

// splitWindows reads a command line by the documented rules of CommandLineToArgvW.
func splitWindows(line string) (words []string) {
	var word []byte
	quoted, begun, backslashes := false, false, 0
	for i := range len(line) {
		switch ch := line[i]; {
		case ch == '\\':
			backslashes++
			continue
		case ch == '"':
			word = append(word, strings.Repeat(`\`, backslashes/2)...)
			if backslashes%2 == 1 {
				word = append(word, '"')
			} else {
				quoted = !quoted
			}
			begun = true
		default:
			word = append(word, strings.Repeat(`\`, backslashes)...)
			begun = begun || backslashes > 0
			if (ch == ' ' || ch == '\t') && !quoted {
				if begun {
					words = append(words, string(word))
				}
				word, begun = nil, false
			} else {
				word, begun = append(word, ch), true
			}
		}
		backslashes = 0
	}
	word = append(word, strings.Repeat(`\`, backslashes)...)
	if begun || len(word) > 0 {
		words = append(words, string(word))
	}
	return words
}

// A real shell reads the crontab's command, after what cron does with it: \% is %.
func TestCrontabLineReadsBack(t *testing.T) {
	for _, dir := range hostile {
		c := command(t, "/opt/"+dir, dir)
		line, ok := strings.CutPrefix(c.CrontabLine(Plan{Minute: 9}), "9 * * * * ")
		if !ok || strings.Contains(strings.ReplaceAll(line, `\%`, ""), "%") {
			t.Errorf("%q: %s", dir, line)
		}
		out, err := exec.Command("/bin/sh", "-c", `printf '%s\n' `+strings.ReplaceAll(line, `\%`, "%")).Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); err != nil || !slices.Equal(got, want(c)) {
			t.Errorf("%q: %q, %v, want %q", dir, got, err, want(c))
		}
	}
}
