// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	testAccess = "AKIATESTTESTTEST"
	testSecret = "secret-of-the-bucket"
	testToken  = "token-of-the-session"
)

// fake answers in the server's place, without a network, so that time can be synctest's.
type fake func(*http.Request) (*http.Response, error)

func (f fake) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	return f(req)
}

func openFake(t testing.TB, f fake) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{
		Bucket: "bucket", Prefix: "p", Endpoint: "s3.example.org", HTTPClient: &http.Client{Transport: f},
		AccessKey: testAccess, SecretKey: testSecret, SessionToken: testToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer makes a response; header is names and values in turn.
func answer(req *http.Request, status int, body string, header ...string) *http.Response {
	resp := &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
	resp.Header.Set("Content-Length", fmt.Sprint(len(body)))
	resp.Header.Set("Last-Modified", "Fri, 27 Nov 2026 03:00:00 GMT")
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func failure(req *http.Request, status int, code string, header ...string) *http.Response {
	return answer(req, status, "<?xml version=\"1.0\"?><Error><Code>"+code+"</Code><Message>of "+testAccess+"</Message></Error>", header...)
}

// pageOf is a page of a listing; a token says that there are more.
func pageOf(token string, keys ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<ListBucketResult><Name>bucket</Name><IsTruncated>%v</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", token != "", token)
	for _, key := range keys {
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><LastModified>2026-11-27T03:00:00.000Z</LastModified><ETag>x</ETag><Size>7</Size></Contents>", key)
	}
	return b.String() + "</ListBucketResult>"
}

// cutBody gives its text and then an error, as a connection that breaks.
type cutBody struct{ io.Reader }

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c cutBody) Close() error { return nil }

func cut(resp *http.Response, body string) *http.Response {
	resp.Body = cutBody{strings.NewReader(body)}
	return resp
}
