// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// locked is a database that an application holds locked until it is stopped.
func locked(t *testing.T) (db string, app *process) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "chat.db")
	return db, start(t, "app", db, schema, fill, "begin exclusive", addOne, "commit", "begin exclusive")
}

func TestBusy(t *testing.T) {
	db, app := locked(t)
	dst := newDst(t)
	if err := child(t, "50ms")(db, dst); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	mustHold(t, dst)
	app.stop()
	must(t, child(t, "50ms")(db, dst))
	mustBeSound(t, dst, 1001)
}

func TestWaitsForWriter(t *testing.T) {
	db, app := locked(t)
	dst := newDst(t)
	result := make(chan error)
	go func() { result <- child(t)(db, dst) }()
	awaitWork(t, dst) // the copy has begun, and cannot have got the lock
	select {
	case err := <-result:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	app.stop()
	must(t, <-result)
	mustBeSound(t, dst, 1001)
}

func TestCancel(t *testing.T) {
	db, _ := locked(t)
	dst := newDst(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- Child(self(t), "copy-child")(ctx, db, dst) }()
	awaitWork(t, dst)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	mustHold(t, dst)
}

func TestCancelInProcess(t *testing.T) {
	db, _ := locked(t)
	dst := newDst(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- Copy(ctx, db, dst) }()
	awaitWork(t, dst)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	mustHold(t, dst)
}

// A parent that was killed cannot clean up, so its child does.
func TestParentDies(t *testing.T) {
	db, _ := locked(t)
	dst := newDst(t)
	cmd := exec.Command(self(t), "copy-child")
	var report bytes.Buffer
	cmd.Stdout = &report
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.WriteString(stdin, db+"\x00"+dst+"\x00")
	must(t, err)
	awaitWork(t, dst)
	must(t, stdin.Close())
	if err := cmd.Wait(); err == nil || !strings.Contains(report.String(), context.Canceled.Error()) {
		t.Errorf("the child did not give up: %v, %q", err, &report)
	}
	mustHold(t, dst)
}

// Every change between the two readings of a part must be seen, also one that
// leaves its size and time alone.
func TestMovedParts(t *testing.T) {
	dir := t.TempDir()
	src, copied := filepath.Join(dir, "chat.db"), filepath.Join(dir, "copy")
	must(t, os.WriteFile(src, bytes.Repeat([]byte{1}, 1<<20), 0o600))
	before, err := statPart(src)
	must(t, err)
	must(t, copyFile(src, copied))
	must(t, checkEqual(src, copied))

	f, err := os.OpenFile(src, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	for _, change := range []func() error{
		func() error { _, err := f.WriteAt([]byte{2}, 1<<20-1); return err },
		func() error { return f.Truncate(1<<20 - 1) },
		func() error { return f.Truncate(1<<20 + 1) },
	} {
		must(t, change())
		if err := checkEqual(src, copied); err != errUnsettled {
			t.Errorf("got %v, want errUnsettled", err)
		}
	}
	after, err := statPart(src)
	must(t, err)
	if unchanged(before, after) || unchanged(before, nil) || unchanged(nil, after) {
		t.Error("a change of size, or of existence, was not seen")
	}
	must(t, f.Truncate(1<<20))
	must(t, os.Chtimes(src, time.Time{}, before.ModTime().Add(time.Hour)))
	if after, err = statPart(src); err != nil || unchanged(before, after) {
		t.Error("a change of time was not seen")
	}
}

// awaitWork waits until the copy to dst has begun.
func awaitWork(t *testing.T, dst string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := os.Stat(dst + workSuffix)
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}
