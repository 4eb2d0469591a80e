// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestConfigPrintsNoKeys(t *testing.T) {
	c := Config{Bucket: "bucket", Prefix: "p", AccessKey: testAccess, SecretKey: testSecret, SessionToken: testToken}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "s3://bucket/p at s3.amazonaws.com"; s.String() != want {
		t.Errorf("String() = %q; want %q", s, want)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, &c), fmt.Sprint(s), fmt.Sprintf("%+v", s)} {
		for _, key := range []string{testAccess, testSecret, testToken} {
			if strings.Contains(text, key) {
				t.Errorf("a key is printed: %s", text)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	good := Config{Bucket: "bucket", Prefix: "a b/ü", AccessKey: testAccess, SecretKey: testSecret}
	if _, err := Open(t.Context(), good); err != nil {
		t.Errorf("%v: %v", good, err)
	}
	for what, spoil := range map[string]func(*Config){
		"no bucket":           func(c *Config) { c.Bucket = "" },
		"a path as bucket":    func(c *Config) { c.Bucket = "a/b" },
		"a URL as endpoint":   func(c *Config) { c.Endpoint = "https://s3.example.org" },
		"a user in endpoint":  func(c *Config) { c.Endpoint = "user@s3.example.org" },
		"no access key":       func(c *Config) { c.AccessKey = "" },
		"no secret key":       func(c *Config) { c.SecretKey = "" },
		"prefix ends with /":  func(c *Config) { c.Prefix = "a/" },
		"prefix begins in /":  func(c *Config) { c.Prefix = "/a" },
		"prefix leads out":    func(c *Config) { c.Prefix = "a/../.." },
		"prefix is too long":  func(c *Config) { c.Prefix = strings.Repeat("a", maxPrefixBytes+1) },
		"prefix is not text":  func(c *Config) { c.Prefix = "a\x00" },
		"prefix is not UTF-8": func(c *Config) { c.Prefix = "a\xff" },
	} {
		c := good
		spoil(&c)
		_, err := Open(t.Context(), c)
		if err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAddress: where the bucket's name goes, and that no request but the one asked for is made.
func TestAddress(t *testing.T) {
	for _, c := range []struct {
		config Config
		url    string
		region string
	}{
		{Config{}, "https://bucket.s3.dualstack.us-east-1.amazonaws.com/x", "us-east-1"},
		{Config{Region: "eu-central-1"}, "https://bucket.s3.dualstack.eu-central-1.amazonaws.com/x", "eu-central-1"},
		{Config{PathStyle: true}, "https://s3.dualstack.us-east-1.amazonaws.com/bucket/x", "us-east-1"},
		{Config{Endpoint: "s3.eu-west-3.amazonaws.com"}, "https://bucket.s3.dualstack.eu-west-3.amazonaws.com/x", "eu-west-3"},
		{Config{Endpoint: "nas.example.org:9000", Insecure: true}, "http://nas.example.org:9000/bucket/x", "us-east-1"},
	} {
		var asked []string
		c.config.Bucket, c.config.AccessKey, c.config.SecretKey = "bucket", testAccess, testSecret
		c.config.HTTPClient = &http.Client{Transport: fake(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.URL.String())
			if auth := req.Header.Get("Authorization"); !strings.Contains(auth, "/"+c.region+"/s3/") || strings.Contains(auth, testSecret) {
				t.Errorf("Authorization: %s", auth)
			}
			if req.Header.Get("If-None-Match") != "*" || len(req.Header.Get("X-Amz-Content-Sha256")) != 64 || req.Header.Get("Content-Md5") == "" {
				t.Errorf("header of a PUT: %v", req.Header)
			}
			return answer(req, 200, ""), nil
		})}
		s, err := Open(t.Context(), c.config)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "x", []byte("data")); err != nil {
			t.Error(err)
		}
		if len(asked) != 1 || asked[0] != c.url {
			t.Errorf("%v asks %q; want %q", c.config, asked, c.url)
		}
	}
}
