// SPDX-License-Identifier: Apache-2.0

//go:build unix

package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// openWithoutLinks opens path as if its file system had no hard links.
func openWithoutLinks(t *testing.T, path string) *Store {
	s := open(t, path)
	s.link = func(oldName, newName string) error {
		return &os.LinkError{Op: "linkat", Old: oldName, New: newName, Err: syscall.EPERM}
	}
	return s
}

func TestConformanceWithoutHardLinks(t *testing.T) {
	path := t.TempDir()
	blobtest.Run(t, func(t *testing.T) blob.Store { return openWithoutLinks(t, path) })
	wantNoTemp(t, path)
}

// TestWritersWithoutHardLinks lets stores race that share nothing but the
// folder, as processes do.
func TestWritersWithoutHardLinks(t *testing.T) {
	path := t.TempDir()
	var stores [8]*Store
	for i := range stores {
		stores[i] = openWithoutLinks(t, path)
	}
	for round := range 100 {
		var won atomic.Int32
		var writers sync.WaitGroup
		for _, s := range stores {
			writers.Go(func() {
				err := s.Put(t.Context(), fmt.Sprint(round), []byte("data"))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d writers of one name succeeded", won.Load())
		}
	}
}

// TestSpecialFilesAreNoObjects: opening a pipe would wait for a writer for ever.
func TestSpecialFilesAreNoObjects(t *testing.T) {
	path := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if _, err := s.ReadAt(t.Context(), "pipe", make([]byte, 1), 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("ReadAt: %v; want ErrNotFound", err)
	}
	if err := s.Put(t.Context(), "pipe", nil); !errors.Is(err, blob.ErrName) {
		t.Errorf("Put: %v; want ErrName", err)
	}
	if got := names(t, s); len(got) > 0 {
		t.Errorf("List: %v", got)
	}
}

const writerEnv = "COFFER_TEST_FOLDER_WRITER"

// TestWriter runs in the child process of TestKilledWriter.
func TestWriter(t *testing.T) {
	path := os.Getenv(writerEnv)
	if path == "" {
		t.Skip("only in the child process of TestKilledWriter")
	}
	s := open(t, path)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				if err := s.Put(t.Context(), fmt.Sprintf("packs/%d-%d", w, i), bytes.Repeat([]byte{byte(w)}, killedSizeBytes)); err != nil {
					panic(err)
				}
			}
		})
	}
	writers.Wait()
}

const killedSizeBytes = 1 << 20

func TestKilledWriter(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	s := open(t, path)
	for round := 1; round <= 5; round++ {
		writer := exec.CommandContext(t.Context(), self, "-test.run=^TestWriter$")
		writer.Env = append(os.Environ(), writerEnv+"="+path)
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- writer.Wait() }()
		for len(names(t, s)) < 3 && len(exited) == 0 {
		}
		if len(exited) > 0 {
			t.Fatalf("the writer ended by itself: %v", <-exited)
		}
		writer.Process.Kill()
		<-exited
		for _, name := range names(t, s) {
			data, err := blobtest.Read(t.Context(), s, name)
			if err != nil || len(data) != killedSizeBytes {
				t.Errorf("%s: %d of %d bytes, %v", name, len(data), killedSizeBytes, err)
			}
			if err := s.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDeadWriter: the kernel frees the lock of a killed writer, and the next Open removes its file at once.
func TestDeadWriter(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	temp, release, err := s.writeTemp(t.Context(), []byte("left"))
	if err != nil {
		t.Fatal(err)
	}
	release()
	open(t, path)
	if _, err := s.root.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
}
