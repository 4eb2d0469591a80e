// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// A backup inside of a test starts this binary as its child. That must not run the tests again.
	if len(os.Args) == 2 && os.Args[1] == copyDatabase {
		main()
	}
	testscript.Main(tests{m}, map[string]func(){"coffer": func() {
		useFakeGoogle()
		main()
	}, "coffer-rclone": helperMain})
}

func TestScripts(t *testing.T) {
	vaults := &vaults{running: map[string]*devVault{}}
	places := newPlaces(t)
	drives := &drives{running: map[*testscript.TestScript]*fakedrive.Server{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("COFFER_HOME", filepath.Join(e.WorkDir, "device"))
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each program waits a second at its end under the race detector
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"setenv":     setEnv,
			"json":       jsonValue,
			"store":      store,
			"nextday":    nextDay,
			"same":       same,
			"respell":    respell,
			"mistype":    mistype,
			"flip":       flip,
			"mode":       mode,
			"oddnames":   oddNames,
			"copydir":    copyDir,
			"hold":       hold,
			"otherbusy":  otherBusy,
			"vault":      vaults.command,
			"killwhen":   killWhen,
			"alone":      alone,
			"s3server":   places.s3server,
			"s3secret":   s3secret,
			"davserver":  davserver,
			"drive":      drives.command,
			"signin":     drives.signIn,
			"findsecret": findSecret,
		},
	})
}

// exits CODE PROGRAM ARGS... runs a program and wants that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// json FILE PATH REGEXP reads one JSON document and wants the value at a path such as a.0.b to match.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	v := lookUp(ts, args[0], args[1])
	if matched := regexp.MustCompile("^(?:" + args[2] + ")$").MatchString(fmt.Sprint(v)); matched == neg {
		ts.Fatalf("%s is %v", args[1], v)
	}
}

// setenv NAME FILE PATH keeps a value of a JSON document for later commands.
func setEnv(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], fmt.Sprint(lookUp(ts, args[1], args[2])))
}

func lookUp(ts *testscript.TestScript, file, path string) any {
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	dec.UseNumber()
	var v any
	ts.Check(dec.Decode(&v))
	if dec.More() {
		ts.Fatalf("more than one document in %s", file)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch t := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = t[step]; !ok {
				ts.Fatalf("there is no %s of %s", step, path)
			}
		case []any:
			if step == "length" {
				v = json.Number(strconv.Itoa(len(t)))
				continue
			}
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(t) {
				ts.Fatalf("%s: the array has %d elements", path, len(t))
			}
			v = t[i]
		default:
			ts.Fatalf("%s: nothing below %v", path, v)
		}
	}
	return v
}

var small = chatgen.Config{Seed: 7, Messages: 400, MediaFiles: 12, MediaMeanBytes: 20_000, Chats: 3}

func store(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(chatgen.Generate(context.Background(), ts.MkAbs(args[0]), small))
}

func nextDay(ts *testscript.TestScript, _ bool, args []string) {
	day, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(chatgen.NextDay(context.Background(), ts.MkAbs(args[0]), small, day))
}

// same DIR DIR compares two chat stores byte for byte.
func same(ts *testscript.TestScript, neg bool, args []string) {
	differences, err := chatgen.Compare(ts.MkAbs(args[0]), ts.MkAbs(args[1]))
	ts.Check(err)
	if (len(differences) == 0) == neg {
		ts.Fatalf("differences: %q", differences)
	}
}

// respell IN OUT writes a key as another person would type it.
func respell(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ToUpper(strings.ReplaceAll(ts.ReadFile(args[0]), " ", "-"))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text[:39]+"\r\n  "+text[39:]), 0o600))
}

// mistype IN OUT changes one digit of a key.
func mistype(ts *testscript.TestScript, _ bool, args []string) {
	text := []byte(ts.ReadFile(args[0]))
	if text[7] == '0' {
		text[7] = '1'
	} else {
		text[7] = '0'
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// flip DIR changes one byte in the middle of the largest file below a folder.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	name, err := flipLargest(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Logf("flipped a byte of %s", name)
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// oddNames DIR makes files whose names would do harm on a terminal, or are not UTF-8.
func oddNames(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range []string{"clear\x1b[2Jscreen", "two\nlines", "not\xffutf8", "flip\u202egnp.exe"} {
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), []byte("odd"), 0o600))
	}
}

func copyDir(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// hold STATEDIR is another process of the same device, at work until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- coffer.OpenDevice(ts.MkAbs(args[0]), coffer.Options{}).Exclusive("backup", func() error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	ts.Defer(func() { close(end); <-ended })
}

// stuckStore is a destination that takes no more packs, as over a network that hangs.
type stuckStore struct {
	blob.Store
	stuck chan<- struct{}
}

func (s stuckStore) Put(ctx context.Context, name string, data []byte) error {
	if !strings.Contains(name, "/packs/") {
		return s.Store.Put(ctx, name, data)
	}
	s.stuck <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// otherBusy STATEDIR SOURCE DEST KEYFILE is another device that goes on with the same archive. Its
// backup stops half-way, in the middle of an upload, until the script ends.
func otherBusy(ts *testscript.TestScript, _ bool, args []string) {
	key, err := coffer.ParseKey(ts.ReadFile(args[3]))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	begun := make(chan struct{}, 100)
	d := coffer.OpenDevice(ts.MkAbs(args[0]), coffer.Options{
		OpenDestination: func(ctx context.Context, destination string, create bool) (blob.Store, error) {
			store, err := coffer.OpenDestination(ctx, destination, create)
			return stuckStore{store, begun}, err
		},
	})
	setup := coffer.Setup{Source: ts.MkAbs(args[1]), Destination: ts.MkAbs(args[2])}
	_, err = d.Adopt(ctx, setup, coffer.ID{}, key)
	ts.Check(err)
	ended := make(chan error, 1)
	go func() {
		_, err := d.Backup(ctx, coffer.BackupOptions{ReadAll: true})
		ended <- err
	}()
	select {
	case <-begun:
	case err := <-ended:
		ts.Fatalf("the other device ended: %v", err)
	}
	ts.Defer(func() { cancel(); <-ended })
}

// A run whose context has ended says so with its own code, whatever it was about to do.
func TestInterrupted(t *testing.T) {
	t.Setenv("COFFER_HOME", t.TempDir())
	dir := t.TempDir()
	source, key := filepath.Join(dir, "chats"), filepath.Join(dir, "key")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, text := runHere(t, t.Context(), "init", source, "--to", filepath.Join(dir, "dest"), "--key", "--key-file", key); code != codeOK {
		t.Fatalf("init: exit code %d: %s", code, text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, text := runHere(t, ctx, "backup"); code != codeInterrupted || !strings.Contains(text, "Run the same command again") {
		t.Errorf("exit code %d, want %d; printed %q", code, codeInterrupted, text)
	}
	// The run is recorded with its cause.
	history, err := coffer.OpenDevice(os.Getenv("COFFER_HOME"), coffer.Options{}).History()
	if err != nil || len(history.Runs) != 1 || history.Runs[0].Cause != coffer.CauseInterrupted {
		t.Errorf("history %+v, %v", history, err)
	}
}

// runHere runs the program in this process and returns the exit code and all that it printed.
func runHere(t *testing.T, ctx context.Context, args ...string) (int, string) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	code := run(ctx, args, null, out, out)
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(text)
}

// No text that a user did not ask to see may hold the key. This runs ordinary commands and searches all
// that they print and all that the state directory and the destination hold.
func TestKeyLeaksNowhere(t *testing.T) {
	home := t.TempDir()
	t.Setenv("COFFER_HOME", home)
	dir := t.TempDir()
	source, dest, keyFile := filepath.Join(dir, "chats"), filepath.Join(dir, "dest"), filepath.Join(dir, "key")
	if err := chatgen.Generate(t.Context(), source, chatgen.Config{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, args := range [][]string{
		{"init", source, "--to", dest, "--key", "--key-file", keyFile},
		{"backup"}, {"backup", "--json"}, {"status"}, {"status", "--json"}, {"snapshots"}, {"ls", "-r"}, {"archive", "list"},
		{"init", source, "--to", dest, "--key", "--yes"},
		{"key", "check", "--key-file", keyFile},
	} {
		_, text := runHere(t, t.Context(), args...)
		printed.WriteString(text)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := coffer.ParseKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	groups := strings.Fields(key.Digits())
	secret := regexp.MustCompile(`(?i)` + strings.Join(groups[:4], `\W*`))
	if secret.MatchString(printed.String()) {
		t.Error("the key was printed")
	}
	found := 0
	for _, tree := range []string{home, dest} {
		err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if secret.Match(data) || bytes.Contains(data, rawKey(t, key)) {
				found++
				if filepath.Ext(path) != ".key" {
					t.Errorf("%s holds the key", path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found != 1 {
		t.Errorf("%d files hold the key, want the key file alone; does the search work?", found)
	}
}

func rawKey(t *testing.T, key coffer.Key) []byte {
	t.Helper()
	var raw []byte
	for group := range strings.FieldsSeq(key.Digits()) {
		n, err := strconv.ParseUint(group, 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, byte(n>>8), byte(n))
	}
	return raw
}
