// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets the test binary play the processes that a copy is about: the
// copying child, and applications that have the database open. The test
// process itself must never hold a source open: it would lose its locks.
func TestMain(m *testing.M) {
	roles := map[string]func(args []string) int{
		"copy-child": copyChild,
		"app":        runApp,
		"hammer":     runHammer,
		"churn":      runChurn,
		"crash":      func([]string) int { fmt.Fprint(os.Stderr, "boom"); return 3 },
		"babble":     func([]string) int { fmt.Print("hello"); return 0 },
		"begin-another": func([]string) int {
			fmt.Fprint(os.Stderr, Child(os.Args[0], "deny")(context.Background(), "chat.db", filepath.Join(os.TempDir(), "never")))
			return 1
		},
		"deny": func([]string) int { fmt.Print(done + "\x00"); return 1 },
	}
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		os.Exit(roles[os.Args[1]](os.Args[2:]))
	}
	// Under -race a process sleeps for a second before it exits, and there are
	// hundreds of them.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// copyChild is ChildMain with another wait for writers if args give one.
func copyChild(args []string) int {
	if len(args) == 1 {
		wait, err := time.ParseDuration(args[0])
		if err != nil {
			return 2
		}
		busyWait = wait
	}
	return ChildMain(os.Stdin, os.Stdout)
}

// child returns the function under test, which runs this test binary.
func child(t *testing.T, args ...string) func(src, dst string) error {
	t.Helper()
	copyIn := Child(self(t), append([]string{"copy-child"}, args...)...)
	return func(src, dst string) error { return copyIn(t.Context(), src, dst) }
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	return exe
}

// runApp opens the database args[0], executes the other args as SQL, says so,
// and keeps the connection until its standard input ends.
func runApp(args []string) int {
	db, err := openRW(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, statement := range args[1:] {
		if _, err := db.Exec(statement); err != nil {
			fmt.Fprintln(os.Stderr, statement, err)
			return 1
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	if err := db.Close(); err != nil {
		return 1
	}
	return 0
}

// openRW opens a database as an application would, on one connection.
func openRW(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", uri(path, "mode=rwc&_pragma=busy_timeout(60000)"))
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// process is another role of the test binary.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

// start runs a role until its first line of output, or the test's end.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	p.line()
	return p
}

// line waits for a line of output.
func (p *process) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatal("the application died")
	}
	return p.lines.Text()
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Kill())
	p.cmd.Wait()
}

// stop lets the application close its database.
func (p *process) stop() {
	p.t.Helper()
	p.stdin.Close()
	for p.lines.Scan() { // else Wait would take the output away
	}
	must(p.t, p.cmd.Wait())
}

// execute runs statements in a process that then closes the database.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	start(t, append([]string{"app", path}, statements...)...).stop()
}

// query returns the only value of a query on a finished copy, without leaving
// anything beside it.
func query[T any](t *testing.T, path, q string) (value T) {
	t.Helper()
	db, err := sql.Open("sqlite", uri(path, "mode=ro&immutable=1"))
	must(t, err)
	defer db.Close()
	must(t, db.QueryRow(q).Scan(&value))
	return value
}

// newDst is a path for a copy in a directory of its own.
func newDst(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "copy")
}

// mustHold checks that the directory of dst holds the given names, no others.
func mustHold(t *testing.T, dst string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dst))
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Fatalf("beside the copy: %q, want %q", got, names)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
