// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/folder"
)

// The test binary is its own helper when its first argument says which.
const asHelper = "as-helper:"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], asHelper) {
		if err := helpers[strings.TrimPrefix(os.Args[1], asHelper)](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// helpers are good ones first.
var helpers = map[string]func(args []string) error{
	"memory": func([]string) error { return serve(blobtest.Memory()) },
	"folder": func(args []string) error {
		store, err := folder.Open(args[0])
		if err != nil {
			return Refuse(context.Background(), err, os.Stdin, os.Stdout)
		}
		return serve(store)
	},
	"environment": func(args []string) error {
		for _, variable := range os.Environ() {
			fmt.Fprintln(os.Stderr, variable)
		}
		fmt.Fprintln(os.Stderr, "\x1b[2Jline\r")
		return serve(blobtest.Memory())
	},
	// dying ends at the first put. Its folder counts the starts.
	"dying": func(args []string) error {
		file, err := os.CreateTemp(args[0], "start")
		if err != nil {
			return err
		}
		file.Close()
		return serve(&blobtest.Faulty{Store: blobtest.Memory(), Before: func(op, _ string) error {
			if op == blobtest.OpPut {
				os.Exit(7)
			}
			return nil
		}})
	},
	"crashing": func([]string) error { return errors.New("nothing works") },
	// hung says hello and does nothing more.
	"hung": func([]string) error {
		if err := welcomeClient(); err != nil {
			return err
		}
		time.Sleep(time.Hour)
		return nil
	},
	// stubborn does not end with its input.
	"stubborn": func([]string) error {
		_ = serve(blobtest.Memory())
		time.Sleep(time.Hour)
		return nil
	},
	"mute": func([]string) error {
		time.Sleep(time.Hour)
		return nil
	},
	"stranger": func([]string) error {
		fmt.Println("Usage: stranger [flags]")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	},
	"garbage": func([]string) error { return answer([]byte("\x00\x00\x00\x05abcde")) },
	"huge":    func([]string) error { return answer([]byte("\xff\xff\xff\xff")) },
}

func serve(store blob.Store) error {
	return Serve(context.Background(), store, os.Stdin, os.Stdout)
}

func welcomeClient() error {
	if _, err := readBody(bufio.NewReader(os.Stdin)); err != nil {
		return err
	}
	_, err := os.Stdout.Write(encode(welcome{Version, "a helper"}))
	return err
}

// answer gives bytes as the answer to whatever is asked.
func answer(b []byte) error {
	if err := welcomeClient(); err != nil {
		return err
	}
	var asked [1]byte
	if _, err := io.ReadFull(os.Stdin, asked[:]); err != nil {
		return err
	}
	if _, err := os.Stdout.Write(b); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func config(t testing.TB, name string, args ...string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Command: append([]string{self, asHelper + name}, args...),
		Stderr:  func(line string) { t.Logf("%s: %s", name, line) },
	}
}

func openHelper(t *testing.T, p patience, name string, args ...string) *Store {
	t.Helper()
	s, err := open(t.Context(), config(t, name, args...), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		s := openHelper(t, usual, "memory")
		blobtest.Run(t, func(*testing.T) blob.Store { return s })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("folder", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the pipes are the same")
		}
		dir := t.TempDir()
		s := openHelper(t, usual, "folder", dir)
		if s.String() != dir {
			t.Errorf("String() = %q", s)
		}
		blobtest.Run(t, func(*testing.T) blob.Store { return s })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusalHasItsClass(t *testing.T) {
	_, err := Open(t.Context(), config(t, "folder", filepath.Join(t.TempDir(), "none")))
	if !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), "does not exist; connect or mount") {
		t.Error(err)
	}
}

func TestNoSuchHelper(t *testing.T) {
	for _, command := range []string{"no-such-helper-of-coffer", filepath.Join(t.TempDir(), "none")} {
		if _, err := Open(t.Context(), Config{Command: []string{command}}); !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("opened without a command")
	}
}

func TestHelperGetsLittleOfOurEnvironment(t *testing.T) {
	t.Setenv("COFFER_KEY", "secret")
	t.Setenv("RCLONE_CONFIG", "here.conf")
	c, lines := config(t, "environment"), make(chan string, 1000)
	c.Stderr = func(line string) { lines <- line }
	s, err := Open(t.Context(), c)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	close(lines)
	var all []string
	for line := range lines {
		all = append(all, line)
		if strings.Contains(line, "secret") || strings.HasPrefix(line, "COFFER") {
			t.Errorf("the helper sees %s", line)
		}
	}
	said := strings.Join(all, "\n")
	if !strings.Contains(said, "RCLONE_CONFIG=here.conf") || !strings.HasSuffix(said, "[2Jline") {
		t.Errorf("the helper says\n%s", said)
	}
}

func TestEnvironment(t *testing.T) {
	all := []string{"HOME=h", "Path=p", "XDG_X=x", "COFFER_X=x", "AWS_SECRET=x", "https_proxy=q", "SystemRoot=s", "HOMER=x", "odd"}
	if got := strings.Join(environmentOn("linux", all), " "); got != "HOME=h XDG_X=x https_proxy=q" {
		t.Error(got)
	}
	if got := strings.Join(environmentOn("windows", all), " "); got != "HOME=h Path=p https_proxy=q SystemRoot=s" {
		t.Error(got)
	}
	if environmentOn("linux", nil) == nil {
		t.Error("nil, which means everything")
	}
}
