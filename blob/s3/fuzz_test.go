// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/blob"
)

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-3/4", "bytes 2-5/10", "bytes 2-5/*", "bytes 5-2/10", "bytes */10", "", "bytes 0-9223372036854775807/9223372036854775807"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, size, ok := parseContentRange(text)
		if !ok {
			return
		}
		if first < 0 || last < first || size <= last {
			t.Errorf("%q: %d-%d/%d", text, first, last, size)
		}
		if a, b, c, ok := parseContentRange(fmt.Sprintf("bytes %d-%d/%d", first, last, size)); !ok || a != first || b != last || c != size {
			t.Errorf("%q is not read again", text)
		}
	})
}

// FuzzListing: whatever a page holds, names that are listed are valid, of the prefix, and each once.
func FuzzListing(f *testing.F) {
	for _, page := range []string{
		pageOf("", "p/a", "p/b"), pageOf("t", "p/a"), pageOf("", "p/b", "p/a"), pageOf("", "p/A", "p/a/../b", "q"), "", "<Error><Code>SlowDown</Code></Error>",
		strings.Replace(pageOf("", "p/%61"), "<Name>", "<EncodingType>url</EncodingType><Name>", 1),
	} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		asked := 0
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			if asked++; asked > 1 {
				return answer(req, 200, pageOf("")), nil
			}
			return answer(req, 200, string(page)), nil
		})
		last := ""
		for info, err := range s.List(t.Context(), "") {
			if err != nil {
				return
			}
			if blob.ValidName(info.Name) != nil || info.Name <= last || info.SizeBytes < 0 {
				t.Errorf("lists %+v after %q", info, last)
			}
			last = info.Name
		}
	})
}
