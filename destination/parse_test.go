// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
)

func TestParse(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want Location
		one  string // the canonical text, where it is another
	}{
		{"/media/disk", Folder{"/media/disk"}, ""},
		{"/media/disk/../x/", Folder{"/media/x"}, "/media/x"},
		{"backup", Folder{filepath.Join(here, "backup")}, filepath.Join(here, "backup")},
		{"./s3:x", Folder{filepath.Join(here, "s3:x")}, filepath.Join(here, "s3:x")},
		{"a:b", Folder{filepath.Join(here, "a:b")}, filepath.Join(here, "a:b")},

		{"s3://chats", S3{Bucket: "chats"}, ""},
		{"S3://chats/", S3{Bucket: "chats"}, "s3://chats"},
		{"s3://chats/a/b?region=eu-central-1", S3{Bucket: "chats", Prefix: "a/b", Region: "eu-central-1"}, ""},
		{"s3://chats/a%20b%3Fc%25/é/", S3{Bucket: "chats", Prefix: "a b?c%/é"}, "s3://chats/a%20b%3Fc%25/%C3%A9"},
		{"s3://chats?region=r&endpoint=S3.Example.COM:443", S3{Bucket: "chats", Endpoint: "s3.example.com", Region: "r"}, "s3://chats?endpoint=s3.example.com&region=r"},
		{"s3://chats?endpoint=https://s3.example.com/", S3{Bucket: "chats", Endpoint: "s3.example.com"}, "s3://chats?endpoint=s3.example.com"},
		{"s3://chats?endpoint=s3.amazonaws.com", S3{Bucket: "chats"}, "s3://chats"},
		{"s3://chats?endpoint=http://127.0.0.1:9000", S3{Bucket: "chats", Endpoint: "127.0.0.1:9000", Insecure: true}, "s3://chats?endpoint=127.0.0.1:9000&insecure=1"},
		{"s3://chats?endpoint=nas:80&insecure=1", S3{Bucket: "chats", Endpoint: "nas", Insecure: true}, "s3://chats?endpoint=nas&insecure=1"},
		{"s3://chats?check-then-put=1&endpoint=s3.example.com", S3{Bucket: "chats", Endpoint: "s3.example.com", CheckThenPut: true}, "s3://chats?endpoint=s3.example.com&check-then-put=1"},
		{"s3://chats?endpoint=[0::1]:9000", S3{Bucket: "chats", Endpoint: "[::1]:9000"}, "s3://chats?endpoint=[::1]:9000"},

		{"webdav+https://cloud.example.com", WebDAV{Host: "cloud.example.com"}, ""},
		{"webdav+https://ann@cloud.example.com:8443/remote.php/dav/files/ann/", WebDAV{User: "ann", Host: "cloud.example.com:8443", Path: "remote.php/dav/files/ann"},
			"webdav+https://ann@cloud.example.com:8443/remote.php/dav/files/ann"},
		{"webdav+https://ann@example.com@cloud.example.com/x", WebDAV{User: "ann@example.com", Host: "cloud.example.com", Path: "x"}, "webdav+https://ann%40example.com@cloud.example.com/x"},
		{"webdav+http://ann@localhost:8080/x", WebDAV{Insecure: true, User: "ann", Host: "localhost:8080", Path: "x"}, ""},
		{"webdav+http://[::1]/x?insecure=1", WebDAV{Insecure: true, Host: "[::1]", Path: "x"}, "webdav+http://[::1]/x"},
		{"webdav+http://nas/x?insecure=1", WebDAV{Insecure: true, Host: "nas", Path: "x"}, ""},

		{"gdrive:", Drive{}, ""},
		{"GDrive:Backups/Chats/", Drive{"Backups/Chats"}, "gdrive:Backups/Chats"},
		{"gdrive:Meine Sicherungen", Drive{"Meine Sicherungen"}, ""},
		{"icloud:", ICloud{}, ""},
		{"icloud:Chats", ICloud{"Chats"}, ""},
		{"rclone:box:", Rclone{"box", ""}, ""},
		{"rclone:box:chats/", Rclone{"box", "chats"}, "rclone:box:chats"},
		{"rclone:nas:/srv/chats", Rclone{"nas", "/srv/chats"}, ""},
		{"rclone:box:a:b", Rclone{"box", "a:b"}, ""},
	} {
		if c.one == "" {
			c.one = c.text
		}
		got, err := Parse(c.text)
		if err != nil || got != c.want || got.String() != c.one {
			t.Errorf("%s: %#v (%v), %v; want %#v (%s)", c.text, got, got, err, c.want, c.one)
			continue
		}
		if again, err := Parse(c.one); err != nil || again != got {
			t.Errorf("%s again: %#v, %v; want %#v", c.one, again, err, got)
		}
	}
}

// secret stands for one that somebody wrote into a text.
const secret = "hunter2"

var refused = []struct{ text, says string }{
	{"", "empty"},
	{strings.Repeat("x", maxTextBytes+1), "longer"},
	{"https://cloud.example.com/dav", "webdav+https://USER@HOST/PATH"},
	{"sftp://host/x", "rclone:REMOTE:PATH"},
	{"file:///x", "path"},
	{"mycloud://x", "help destinations"},

	{"s3:chats", "write s3://BUCKET"},
	{"s3://", "s3://BUCKET"},
	{"s3:///x", "s3://BUCKET"},
	{"s3://AKIA:hunter2@chats/x", "coffer destination add"},
	{"s3://AKIA:hunter2/x@chats/x", "coffer destination add"},
	{"s3://hunter2@chats/x", "coffer destination add"},
	{"s3://chats?access_key=hunter2", "coffer destination add"},
	{"s3://chats?hunter2", "coffer destination add"},
	{"s3://chats?region=a&region=hunter2", "once each"},
	{"s3://chats?region=hunter2!", "region"},
	{"s3://chats?endpoint=me:hunter2@host", "endpoint"},
	{"s3://chats?endpoint=ftp://host", "endpoint"},
	{"s3://chats?endpoint=host:0", "endpoint"},
	{"s3://chats?endpoint=host:99999", "endpoint"},
	{"s3://chats?endpoint=host/path", "endpoint"},
	{"s3://chats?endpoint=[::1", "endpoint"},
	{"s3://chats?endpoint=http://nas", "HTTPS"},
	{"s3://chats?insecure=1", "endpoint="},
	{"s3://chats?endpoint=nas&insecure=yes", "insecure=1"},
	{"s3://chats?check-then-put=hunter2", "insecure=1"},
	{"s3://chats/%zzhunter2", "coffer destination add"},
	{"s3://chats/x#hunter2", "coffer destination add"},
	{"s3://c/x", "bucket"},
	{"s3://chats//../hunter2", "empty"},
	{"s3://chats/a/../hunter2", ".."},
	{"s3://chats/a%0Ahunter2", "control"},
	{"s3://chats/" + strings.Repeat("x", maxPathBytes+1), "longer"},

	{"webdav+https://ann:hunter2@cloud.example.com/x", "coffer destination add"},
	{"webdav+https://ann:@cloud.example.com/x", "coffer destination add"},
	{"webdav+https://ann%3Ahunter2@cloud.example.com/x", "coffer destination add"},
	{"webdav+https://cloud.example.com/x?password=hunter2", "coffer destination add"},
	{"webdav+https://cloud.example.com/x?insecure=1", "webdav+http"},
	{"webdav+https:///x", "webdav+https://USER@HOST/PATH"},
	{"webdav+http://ann@nas/x", "HTTPS"},
	{"webdav+http://127.0.0.1.example.com/x", "HTTPS"},
	{"webdav+http://ann:hunter2@localhost/x", "coffer destination add"},

	{"gdrive://x", "gdrive:FOLDER"},
	{"gdrive:a//b", "empty"},
	{"gdrive:a\x00b", "control"},
	{"gdrive:a\xffb", "UTF-8"},
	{"icloud://x", "icloud:FOLDER"},
	{"icloud:../x", ".."},
	{"rclone:box", "rclone:REMOTE:PATH"},
	{"rclone::sftp,host=h,pass=hunter2:x", "rclone listremotes"},
	{"rclone:box,pass=hunter2:x", "rclone listremotes"},
	{"rclone:-box:x", "rclone listremotes"},
	{"rclone:box:a/../b", ".."},
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		got, err := Parse(c.text)
		if !errors.Is(err, coffer.ErrDestination) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80q: %#v, %v; want ErrDestination, %q", c.text, got, err, c.says)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%.80q: the refusal repeats the secret: %v", c.text, err)
		}
	}
}

// FuzzParse: what is understood has one text that means the same, and no refusal repeats what it refuses.
func FuzzParse(f *testing.F) {
	for _, c := range refused {
		f.Add(c.text)
	}
	for _, text := range []string{
		"/media/disk", "s3://chats/a%20b?endpoint=http://127.0.0.1:9000&region=r", "webdav+https://ann%40b@h:1/x", "webdav+http://nas/x?insecure=1",
		"gdrive:Backups", "icloud:", "rclone:nas:/srv",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			if !errors.Is(err, coffer.ErrDestination) {
				t.Errorf("%q: %v is not ErrDestination", text, err)
			}
			if strings.Contains(text, secret) && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the refusal repeats it: %v", text, err)
			}
			return
		}
		if l.Kind() == KindFolder {
			return // a path that is clean already; names of folders may hold anything
		}
		again, err := Parse(l.String())
		if err != nil || again != l || again.String() != l.String() {
			t.Errorf("%q: %#v has the text %q, which is %#v, %v", text, l, l.String(), again, err)
		}
	})
}
