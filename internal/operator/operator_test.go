// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/vault"
)

// fake is a node that notes what it was asked.
type fake struct {
	asked []string
	err   error
	drain chan struct{} // closed when a drain has begun; it ends with its context
}

func (f *fake) note(format string, args ...any) error {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) Status() vault.Status {
	return vault.Status{Slot: 3, Partitions: []vault.Partition{{Number: 7, Role: vault.RoleLeader, Voters: []vault.Slot{1, 2, 3}}}}
}
func (f *fake) Invite(_ context.Context, s vault.Slot) (string, error) {
	return "the ticket", f.note("invite %d", s)
}
func (f *fake) Remove(_ context.Context, s vault.Slot) error       { return f.note("remove %d", s) }
func (f *fake) Transfer(_ context.Context, t vault.Transfer) error { return f.note("transfer %+v", t) }
func (f *fake) Drain(ctx context.Context) error {
	close(f.drain)
	<-ctx.Done()
	return ctx.Err()
}

// start serves n in dir until the test ends or the function is called.
func start(t *testing.T, dir string, n Node) (*Client, func()) {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, ended := Server(ctx, n), make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	stop := func() {
		cancel()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	}
	return NewClient(dir), stop
}

func TestCommands(t *testing.T) {
	f := &fake{}
	c, stop := start(t, t.TempDir(), f)
	defer stop()
	s, err := c.Status(t.Context())
	if want := (Status{os.Getpid(), f.Status()}); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, %v", s, err)
	}
	if ticket, err := c.Invite(t.Context(), 4); ticket != "the ticket" || err != nil {
		t.Errorf("%q, %v", ticket, err)
	}
	if err := errors.Join(c.Remove(t.Context(), 5), c.Transfer(t.Context(), vault.Transfer{Partition: 9, To: 2})); err != nil {
		t.Error(err)
	}
	if want := []string{"invite 4", "remove 5", "transfer {All:false Partition:9 To:2}"}; !reflect.DeepEqual(f.asked, want) {
		t.Errorf("%q", f.asked)
	}
	f.err = fmt.Errorf("%w: slot 6 is nobody's", vault.ErrRefused)
	if err := c.Remove(t.Context(), 6); err == nil || !strings.Contains(err.Error(), "slot 6 is nobody's") {
		t.Errorf("a refusal: %v", err)
	}
}

// TestDrainEnds with its client, and with the server.
func TestDrainEnds(t *testing.T) {
	for _, end := range []string{"client", "server"} {
		f := &fake{drain: make(chan struct{})}
		c, stop := start(t, t.TempDir(), f)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Drain(ctx) }()
		<-f.drain
		if end == "client" {
			cancel()
		} else {
			stop()
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: no error", end)
		}
		cancel()
		if end == "client" {
			stop()
		}
	}
}

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	if _, err := NewClient(dir).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(dir).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket that a killed node left: %v", err)
	}
	c, stop := start(t, dir, &fake{})
	defer stop()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("after it was replaced: %v", err)
	}
}

func TestSocketIsTheOwners(t *testing.T) {
	dir := t.TempDir()
	_, stop := start(t, dir, &fake{})
	defer stop()
	if info, err := os.Stat(filepath.Join(dir, socketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second after a kill
		l, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		l.(linked).Listener.Close()
	}
	short := filepath.Dir(socketOf(dir))
	c, stop := start(t, dir, &fake{})
	if s, err := c.Status(t.Context()); err != nil || s.Slot != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	now := filepath.Dir(socketOf(dir))
	stop()
	for _, folder := range []string{short, now} {
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left", folder)
		}
	}
}

func TestTooLarge(t *testing.T) {
	c, stop := start(t, t.TempDir(), &fake{})
	defer stop()
	body := map[string]string{"slot": strings.Repeat("1", maxRequest)}
	if err := c.do(t.Context(), http.MethodPost, "/remove", body, nil); err == nil {
		t.Error("a large request was taken")
	}
	if err := c.do(t.Context(), http.MethodPost, "/remove", map[string]int{"slots": 1}, nil); err == nil {
		t.Error("an unknown field was taken")
	}
}
