// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/webdav"
)

func FuzzMultistatus(f *testing.F) {
	for _, text := range []string{
		head + file("/dav/x", "5") + folder("/dav/d/") + tail, head + tail, head, "", "<a/>", head + "<D:response/>" + tail,
		head + file("http://host/dav/x", "-1") + tail, `<!DOCTYPE x>` + head, `<multistatus xmlns="DAV:"></multistatus>`,
		head + "<D:response><D:href>/dav/x</D:href><D:status>HTTP/1.1 404 gone</D:status></D:response>" + tail,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := webdav.Parse(strings.NewReader(string(text)))
		if n > len(text)/20 {
			t.Errorf("%d entries in %d bytes", n, len(text))
		}
		if err == nil && !strings.Contains(string(text), "DAV:") {
			t.Errorf("%q is taken for a list", text)
		}
	})
}

func FuzzChildName(f *testing.F) {
	for _, path := range []string{"/dav/", "/dav/x", "/dav/d/", "/dav/d/x", "/dav", "/", "/dav/../x", "/dav/.", "/dav//", "/dav/x%2f", "dav/x"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := webdav.ChildName("/dav/", path)
		if name == "" {
			return
		}
		if err != nil || blob.ValidName(name) != nil || strings.Contains(name, "/") || strings.TrimSuffix(path, "/") != "/dav/"+name {
			t.Errorf("%q is the child %q, %v", path, name, err)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */10", "", "bytes 9-5/10", "bytes 0-9/9", "bytes -1-5/9", "bytes 0-99999999999999999999/*"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, size, err := webdav.Span(text)
		if err != nil {
			return
		}
		if first < 0 || last < first || last == 1<<63-1 || size != -1 && size <= last {
			t.Errorf("%q is %d to %d of %d", text, first, last, size)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, size)
		if size == -1 {
			again = fmt.Sprintf("bytes %d-%d/*", first, last)
		}
		if f, l, s, err := webdav.Span(again); f != first || l != last || s != size || err != nil {
			t.Errorf("%q is %q, which is %d to %d of %d, %v", text, again, f, l, s, err)
		}
	})
}
