// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/chatgen"
)

// story is the demo: what happens to one user.
type story struct {
	a      *app
	dir    string
	config chatgen.Config
	began  time.Time

	device        *coffer.Device
	digits        string // what the user has written down
	first, second *archive.BackupReport
}

func (s *story) path(name string) string { return filepath.Join(s.dir, name) }

// say prints a line at once, for the reader watches.
func (s *story) say(format string, args ...any) {
	if !s.a.cli.Quiet && !s.a.cli.JSON {
		fmt.Fprintf(s.a.out, format+"\n", args...)
		s.a.out.Flush()
	}
}

func (s *story) makeStore() error {
	if err := chatgen.Generate(s.a.ctx, s.path("chats"), s.config); err != nil {
		return err
	}
	s.say("A phone has a chat store: a SQLite database with %s, and %s.",
		count(int64(s.config.Messages), "message"), count(int64(s.config.MediaFiles), "media file"))
	return nil
}

func (s *story) setUp() (err error) {
	if s.device, err = s.a.openDevice(s.path("phone-1"), nil); err != nil {
		return err
	}
	key := coffer.NewKey()
	s.digits = key.Digits()
	s.say("\nIts owner sets up a backup and writes down the key:\n\n  $ coffer init chats --to cloud --key\n")
	if !s.a.cli.Quiet && !s.a.cli.JSON {
		showKey(s.a.out, key)
	}
	return s.device.Enable(s.a.ctx, coffer.Setup{Source: s.path("chats"), Destination: s.path("cloud")}, key)
}

func (s *story) backup() (*archive.BackupReport, error) {
	start := time.Now()
	r, err := s.device.Backup(s.a.ctx, coffer.BackupOptions{})
	if err == nil {
		s.say("  %s in %s, %s added in %s, %s", count(r.Files, "entry"), byteSize(r.SourceBytes),
			byteSize(r.AddedBytes), count(r.AddedObjects, "object"), seconds(time.Since(start)))
	}
	return r, err
}

func (s *story) firstDay() (err error) {
	s.say("\nFirst night:\n\n  $ coffer backup")
	s.first, err = s.backup()
	return err
}

func (s *story) secondDay() (err error) {
	if err := chatgen.NextDay(s.a.ctx, s.path("chats"), s.config, 1); err != nil {
		return err
	}
	s.say("\nA day passes: new messages, edits, deletions, new pictures, moved ones. Second night:\n\n  $ coffer backup")
	s.second, err = s.backup()
	return err
}

func (s *story) loseTheMachine() error {
	s.say("\nThe phone falls into the sea. What is left is the cloud and the written key.\n(The demo keeps the chats aside, only to compare with them later.)")
	if err := os.RemoveAll(s.path("phone-1")); err != nil {
		return err
	}
	return os.Rename(s.path("chats"), s.path("lost-chats"))
}

func (s *story) wrongKey() error {
	mistyped := []byte(s.digits)
	mistyped[0] ^= 1 // another digit: '0' to '1', 'a' to '`' would be none
	if mistyped[0] < '0' || mistyped[0] > '9' {
		mistyped[0] = '0'
	}
	key, err := coffer.ParseKey(string(mistyped))
	if err != nil {
		return err
	}
	s.say("\nOn a new phone, with a mistyped digit:\n\n  $ coffer restore --from cloud --to chats")
	_, err = coffer.OpenArchive(s.a.ctx, s.path("cloud"), coffer.ID{}, key)
	if !errors.Is(err, archive.ErrWrongKey) {
		return fmt.Errorf("a wrong key was not refused: %w", err)
	}
	s.say("  %s", err)
	return nil
}

func (s *story) restore() error {
	key, err := coffer.ParseKey(strings.ToUpper(s.digits))
	if err != nil {
		return err
	}
	s.say("\nAnd with the right ones:\n\n  $ coffer restore --from cloud --to chats")
	start := time.Now()
	a, err := coffer.OpenArchive(s.a.ctx, s.path("cloud"), coffer.ID{}, key)
	if err != nil {
		return err
	}
	defer a.Close()
	r, err := a.Restore(s.a.ctx, archive.RestoreConfig{Snapshot: "latest", Dir: s.path("chats")})
	if err != nil {
		return err
	}
	s.say("  %s, %s, %s", count(r.Files, "entry"), byteSize(r.Bytes), seconds(time.Since(start)))
	return nil
}

func (s *story) compare() error {
	differences, err := chatgen.Compare(s.path("lost-chats"), s.path("chats"))
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return fmt.Errorf("the restored chats differ from the lost ones: %s", strings.Join(differences, "; "))
	}
	s.say("\nCompared byte for byte with the lost chats: no difference.")
	return nil
}

func (s *story) flipAByte() error {
	name, err := flipLargest(s.path("cloud"))
	if err != nil {
		return err
	}
	key, err := coffer.ParseKey(s.digits)
	if err != nil {
		return err
	}
	s.say("\nThen somebody flips one byte in the cloud:\n\n  $ coffer verify --from cloud --read-all")
	a, err := coffer.OpenArchive(s.a.ctx, s.path("cloud"), coffer.ID{}, key)
	if err != nil {
		return err
	}
	defer a.Close()
	r, err := a.Verify(s.a.ctx, archive.VerifyConfig{ReadAll: true})
	if err != nil {
		return err
	}
	if len(r.Damage) == 0 {
		return fmt.Errorf("a flipped byte in %s was not found", name)
	}
	s.say("  damaged: %s, which %s of the snapshots need\n", r.Damage[0].Object, count(int64(len(r.Affected)), "file"))
	return nil
}

// flipLargest changes one byte in the middle of the largest file below dir, which is a pack.
func flipLargest(dir string) (name string, err error) {
	var size int64
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > size {
			name, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, size/2)
	b[0] ^= 1
	if err == nil {
		_, err = f.WriteAt(b, size/2)
	}
	return name, errors.Join(err, f.Close())
}
