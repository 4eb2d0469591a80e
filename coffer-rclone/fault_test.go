// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/rclone/rclone/backend/memory" // a provider of buckets
	rclone "github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/fserrors"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func TestBuckets(t *testing.T) {
	s, err := open(t.Context(), ":memory:bucket/folder", false)
	if err != nil {
		t.Fatal(err)
	}
	if s.way != direct || s.f.Features().ListR == nil {
		t.Error("not the provider that this test is for")
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
}

// faulty is a local folder whose uploads and renames may go wrong after their effect.
type faulty struct {
	rclone.Fs
	put, move func() error
	link      func(remote string) error // in the place of a hard link
}

func (f *faulty) Put(ctx context.Context, in io.Reader, src rclone.ObjectInfo, options ...rclone.OpenOption) (rclone.Object, error) {
	stored, err := f.Fs.Put(ctx, in, src, options...)
	if f.put != nil && err == nil {
		err = f.put()
	}
	return stored, err
}

func (f *faulty) Features() *rclone.Features {
	features := *f.Fs.Features()
	if f.move != nil {
		move := features.Move
		features.Move = func(ctx context.Context, src rclone.Object, remote string) (rclone.Object, error) {
			stored, err := move(ctx, src, remote)
			if err == nil {
				err = f.move()
			}
			return stored, err
		}
	}
	if f.link != nil {
		features.Copy = func(_ context.Context, _ rclone.Object, remote string) (rclone.Object, error) {
			return nil, f.link(remote)
		}
	}
	return &features
}

// withFaults returns a store on dir that does not wait between its tries, but notes how long it would.
func withFaults(t *testing.T, dir string) (*Store, *faulty, *[]time.Duration) {
	t.Helper()
	s := openLocal(t, dir)
	f := &faulty{Fs: s.f}
	var pauses []time.Duration
	s.f = f
	s.sleep = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	return s, f, &pauses
}

var errMoment = fserrors.RetryErrorf("a fault of the moment")

// times fails n times.
func times(n int, err error) func() error {
	return func() error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func TestRetry(t *testing.T) {
	later := fserrors.NewErrorRetryAfter(10 * time.Second)
	for name, c := range map[string]struct {
		fault  error
		faults int
		pauses int
		want   error
	}{
		"a moment":    {errMoment, tries - 1, tries - 1, nil},
		"for good":    {errMoment, tries, tries - 1, blob.ErrUnreachable},
		"told when":   {later, 1, 1, nil},
		"much later":  {fserrors.NewErrorRetryAfter(time.Hour), 1, 0, blob.ErrUnreachable},
		"not again":   {fserrors.NoRetryError(errMoment), 1, 0, errMoment},
		"fatal":       {fserrors.FatalError(errMoment), 1, 0, errMoment},
		"no room":     {syscall.ENOSPC, 1, 0, blob.ErrFull},
		"not allowed": {fs.ErrPermission, 1, 0, blob.ErrDenied},
	} {
		s, f, pauses := withFaults(t, t.TempDir())
		f.put = times(c.faults, c.fault)
		err := s.Put(t.Context(), "d/x", []byte("data"))
		if !errors.Is(err, c.want) || len(*pauses) != c.pauses {
			t.Errorf("%s: %v after %d pauses; want %v after %d", name, err, len(*pauses), c.want, c.pauses)
		}
		if errors.As(c.fault, &later) && c.pauses > 0 && (*pauses)[0] < 5*time.Second {
			t.Errorf("%s: pauses of %v", name, *pauses)
		}
		if got, err := blobtest.Read(t.Context(), s, "d/x"); c.want == nil && string(got) != "data" || c.want != nil && !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: the object is then %q, %v", name, got, err)
		}
		wantNoTemp(t, s.f.Root())
	}
}

func TestCancelledBetweenTries(t *testing.T) {
	s, f, _ := withFaults(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	s.sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}
	f.put = times(1, errMoment)
	if err := s.Put(ctx, "x", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLostAnswer: the object is there, and only the provider's answer was lost.
func TestLostAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		other string // what another writer puts in between
		want  error
	}{
		"ours":     {"", nil},
		"anothers": {"other", blob.ErrExists},
	} {
		dir := t.TempDir()
		s, f, _ := withFaults(t, dir)
		f.move = func() error {
			f.move = nil
			if c.other != "" {
				write(t, filepath.Join(dir, "x"), c.other)
			}
			return errMoment
		}
		if err := s.Put(t.Context(), "x", []byte("mine!")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOvertaken: a rename replaces what another writer has put since we looked.
func TestOvertaken(t *testing.T) {
	dir := t.TempDir()
	s, f, _ := withFaults(t, dir)
	f.move = func() error {
		write(t, filepath.Join(dir, "x"), "other")
		return nil
	}
	if err := s.Put(t.Context(), "x", []byte("mine!")); !errors.Is(err, blob.ErrExists) {
		t.Error(err)
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{syscall.ENOSPC, blob.ErrFull},
		{&googleapi.Error{Code: 403, Message: "The user's Drive storage quota has been exceeded."}, blob.ErrFull},
		{&googleapi.Error{Code: 403, Message: "insufficientFilePermissions"}, blob.ErrDenied},
		{&googleapi.Error{Code: 429}, blob.ErrUnreachable},
		{&googleapi.Error{Code: 503}, blob.ErrUnreachable},
		{&googleapi.Error{Code: 400}, nil},
		{&oauth2.RetrieveError{ErrorCode: "invalid_grant"}, blob.ErrDenied},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, blob.ErrUnreachable},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, blob.ErrUnreachable},
		{rclone.ErrorPermissionDenied, blob.ErrDenied},
		{syscall.EROFS, blob.ErrDenied},
		{syscall.EIO, nil},
		{context.Canceled, nil},
	} {
		if got := classOf(c.err); got != c.want {
			t.Errorf("%v: %v; want %v", c.err, got, c.want)
		}
		err := explain("put", "x", c.err)
		if !errors.Is(err, c.err) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%v is explained as %v", c.err, err)
		}
	}
}

func TestScrub(t *testing.T) {
	for text, want := range map[string]string{
		`Put "https://host/path?X-Amz-Signature=abc&x=y": EOF`:         `Put "https://host/path?(redacted)": EOF`,
		`dial sftp://user:hunter2@host/path failed`:                    `dial sftp://(redacted)@host/path failed`,
		`header "Authorization: Bearer abc.def" refused`:               `header "Authorization: (redacted) (redacted)" refused`,
		`{"access_token":"abc","expiry":"2026"}`:                       `{"access_token":"(redacted)","expiry":"2026"}`,
		`password=abc next`:                                            `password=(redacted) next`,
		`upload packs/0123 to test:/data/packs: connection lost (EOF)`: `upload packs/0123 to test:/data/packs: connection lost (EOF)`,
	} {
		got := scrub(text)
		if got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", text, got, want)
		}
		cause := errors.New(text)
		if err := explain("put", "x", cause); strings.Contains(err.Error(), "abc") || !errors.Is(err, cause) {
			t.Error(err)
		}
	}
}

func TestUploadLimit(t *testing.T) {
	s := openLocal(t, t.TempDir())
	s.LimitUpload(1 << 30)
	data := make([]byte, 10*burstBytes+1)
	data[len(data)-1] = 1
	if err := s.Put(t.Context(), "x", data); err != nil {
		t.Fatal(err)
	}
	if got, err := blobtest.Read(t.Context(), s, "x"); err != nil || string(got) != string(data) {
		t.Errorf("%d of %d bytes, %v", len(got), len(data), err)
	}
	s.LimitUpload(1) // it would take hours
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := s.Put(ctx, "y", data); !errors.Is(err, context.Canceled) {
		t.Errorf("a slow upload that is cancelled: %v", err)
	}
}

func TestEncryptedConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "rclone.conf")
	encrypted, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.SetConfigPassword("of the test"); err != nil {
		t.Fatal(err)
	}
	err = config.Encrypt(strings.NewReader("[here]\ntype = alias\nremote = "+dir+"\n"), encrypted)
	config.ClearConfigPassword()
	if err := errors.Join(err, encrypted.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openHelper(t, file, "here:"); err == nil || !contains(err.Error(), "RCLONE_PASSWORD_COMMAND") {
		t.Errorf("without a password: %v", err)
	}
	t.Setenv("RCLONE_PASSWORD_COMMAND", "echo wrong")
	if _, err := openHelper(t, file, "here:"); err == nil || !contains(err.Error(), "decrypt") {
		t.Errorf("with a wrong one: %v", err)
	}
	t.Setenv("RCLONE_PASSWORD_COMMAND", `echo "of the test"`)
	s, err := openHelper(t, file, "here:")
	if err == nil {
		err = s.Put(t.Context(), "x", nil)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	s, f, _ := withFaults(t, dir)
	s.way = link
	for name, c := range map[string]struct {
		link func(remote string) error
		want error
	}{
		"none":        {func(string) error { return rclone.ErrorCantCopy }, nil},
		"none-either": {func(string) error { return errors.New("sftp: Failure") }, nil},
		"taken": {func(remote string) error {
			write(t, filepath.Join(dir, remote), "other")
			return errors.New("sftp: Failure")
		}, blob.ErrExists},
		"cut": {func() func(string) error {
			cut := times(1, errMoment)
			return func(string) error { return errors.Join(cut(), rclone.ErrorCantCopy) }
		}(), nil},
	} {
		f.link = c.link
		if err := s.Put(t.Context(), name, []byte("mine!")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		want := "mine!"
		if c.want != nil {
			want = "other"
		}
		if got, err := blobtest.Read(t.Context(), s, name); err != nil || string(got) != want {
			t.Errorf("%s: the object is %q, %v", name, got, err)
		}
	}
	wantNoTemp(t, dir)
}
