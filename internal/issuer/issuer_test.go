// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/token"
)

const testName = "https://issuer.invalid/dev"

// clock is an issuer's time that stands still until a test moves it.
type clock struct{ time time.Time }

func (c *clock) now() time.Time { return c.time }

func open(t *testing.T, dir string) (*Issuer, *clock) {
	t.Helper()
	i, err := Open(dir, testName)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Unix(1_800_000_000, 0)}
	i.now = c.now
	return i, c
}

// post sends a form to an issuer that is mounted below /dev.
func post(t *testing.T, i *Issuer, path, form string) (status int, body map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://gateway.test:8080/dev"+path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return serve(t, i, r)
}

func serve(t *testing.T, i *Issuer, r *http.Request) (status int, body map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	http.StripPrefix("/dev", i.Handler()).ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %s: %v", r.URL, w.Body, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("a proxy may store the answer")
	}
	return w.Code, body
}

func begin(t *testing.T, i *Issuer, form string) (deviceCode string) {
	t.Helper()
	status, body := post(t, i, "/device_authorization", form)
	if status != http.StatusOK {
		t.Fatalf("%d: %v", status, body)
	}
	return body["device_code"].(string)
}

func redeem(t *testing.T, i *Issuer, grant url.Values) (status int, body map[string]any) {
	t.Helper()
	return post(t, i, "/token", grant.Encode())
}

func byDevice(code string) url.Values {
	return url.Values{"client_id": {"coffer"}, "grant_type": {grantDevice}, "device_code": {code}}
}

func byRefresh(refresh string, resources ...string) url.Values {
	return url.Values{"client_id": {"coffer"}, "grant_type": {grantRefresh}, "refresh_token": {refresh}, "resource": resources}
}

// logIn returns a refresh token.
func logIn(t *testing.T, i *Issuer, form string) string {
	t.Helper()
	status, body := redeem(t, i, byDevice(begin(t, i, form)))
	if status != http.StatusOK {
		t.Fatalf("%d: %v", status, body)
	}
	return body["refresh_token"].(string)
}

func verify(t *testing.T, i *Issuer, c *clock, audience string, accessToken any) (token.Claims, error) {
	t.Helper()
	v, err := token.NewVerifier(testName, audience, i.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(accessToken.(string), c.time.UnixMilli())
}

func TestLogin(t *testing.T) {
	for form, want := range map[string]token.Claims{
		"login_hint=alice":                      {Subject: "alice", Role: token.Primary},
		"login_hint=alice&role=primary":         {Subject: "alice", Role: token.Primary},
		"login_hint=J%C3%BCrgen&role=companion": {Subject: "Jürgen", Role: token.Companion},
	} {
		i, c := open(t, t.TempDir())
		status, body := redeem(t, i, byRefresh(logIn(t, i, form), "core"))
		if status != http.StatusOK || body["token_type"] != "Bearer" || body["expires_in"] != 600.0 || body["refresh_token"] != nil {
			t.Fatalf("%s: %d, %v", form, status, body)
		}
		want.Issuer, want.IssuedAtMs, want.ExpiresMs = testName, c.time.UnixMilli(), c.time.Add(Lifetime).UnixMilli()
		if got, err := verify(t, i, c, "core", body["access_token"]); err != nil || got != want {
			t.Errorf("%s: %+v, %v", form, got, err)
		}
		if _, err := verify(t, i, c, "gateway", body["access_token"]); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("the core's token at the gateway: %v", err)
		}
		c.time = c.time.Add(Lifetime)
		if _, err := verify(t, i, c, "core", body["access_token"]); !errors.Is(err, token.ErrExpired) {
			t.Errorf("an old token: %v", err)
		}
	}
}

func TestDeviceCodeIsGoodOnce(t *testing.T) {
	i, _ := open(t, t.TempDir())
	code := begin(t, i, "login_hint=alice")
	if status, body := redeem(t, i, byDevice(code)); status != http.StatusOK {
		t.Fatalf("%d: %v", status, body)
	}
	if _, body := redeem(t, i, byDevice(code)); body["error"] != "expired_token" {
		t.Errorf("the second time: %v", body)
	}
}

// Without a resource a token is needed in the answer, but must be good for nothing.
func TestTokenWithoutResource(t *testing.T) {
	i, c := open(t, t.TempDir())
	_, body := redeem(t, i, byDevice(begin(t, i, "login_hint=alice&resource=core&resource=gateway")))
	for _, audience := range []string{"core", "gateway"} {
		if _, err := verify(t, i, c, audience, body["access_token"]); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: %v", audience, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	i, c := open(t, t.TempDir())
	late := begin(t, i, "login_hint=alice")
	refresh := logIn(t, i, "login_hint=alice")
	c.time = c.time.Add(pendingLife)
	for name, test := range map[string]struct{ path, form, want string }{
		"no account":        {"/device_authorization", "role=primary", "invalid_request"},
		"long account":      {"/device_authorization", "login_hint=" + strings.Repeat("x", 256), "invalid_request"},
		"control character": {"/device_authorization", "login_hint=a%00", "invalid_request"},
		"not UTF-8":         {"/device_authorization", "login_hint=%ff", "invalid_request"},
		"other role":        {"/device_authorization", "login_hint=alice&role=admin", "invalid_request"},
		"account twice":     {"/device_authorization", "login_hint=alice&login_hint=bob", "invalid_request"},
		"bad escape":        {"/device_authorization", "login_hint=%zz", "invalid_request"},
		"too long":          {"/device_authorization", "login_hint=alice&x=" + strings.Repeat("x", maxBody), "invalid_request"},
		"no grant":          {"/token", "device_code=x", "unsupported_grant_type"},
		"other grant":       {"/token", "grant_type=password&username=alice&password=x", "unsupported_grant_type"},
		"unknown code":      {"/token", byDevice("x").Encode(), "expired_token"},
		"no code":           {"/token", byDevice("").Encode(), "expired_token"},
		"old code":          {"/token", byDevice(late).Encode(), "expired_token"},
		"unknown token":     {"/token", byRefresh("x", "core").Encode(), "invalid_grant"},
		"hash as token":     {"/token", byRefresh(i.refresh.list[0].Hash, "core").Encode(), "invalid_grant"},
		"two resources":     {"/token", byRefresh(refresh, "core", "gateway").Encode(), "invalid_target"},
		"long resource":     {"/token", byRefresh(refresh, strings.Repeat("x", 256)).Encode(), "invalid_target"},
		"empty resource":    {"/token", byRefresh(refresh, "").Encode(), "invalid_target"},
	} {
		if status, body := post(t, i, test.path, test.form); status != http.StatusBadRequest || body["error"] != test.want || body["access_token"] != nil {
			t.Errorf("%s: %d, %v, want %s", name, status, body, test.want)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/dev/token?"+byRefresh(refresh, "core").Encode(), nil)
	if status, body := serve(t, i, r); status != http.StatusBadRequest {
		t.Errorf("a secret in the URL, where logs keep it: %d, %v", status, body)
	}
}

func TestRefreshTokenLivesAYear(t *testing.T) {
	i, c := open(t, t.TempDir())
	refresh := logIn(t, i, "login_hint=alice")
	c.time = c.time.Add(refreshLife - time.Second)
	if status, body := redeem(t, i, byRefresh(refresh, "core")); status != http.StatusOK {
		t.Errorf("before a year: %d, %v", status, body)
	}
	c.time = c.time.Add(time.Second)
	if _, body := redeem(t, i, byRefresh(refresh, "core")); body["error"] != "invalid_grant" {
		t.Errorf("after a year: %v", body)
	}
	logIn(t, i, "login_hint=bob")
	if n := len(i.refresh.list); n != 1 {
		t.Errorf("%d tokens are kept", n)
	}
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "issuer")
	i, _ := open(t, dir)
	refresh := logIn(t, i, "login_hint=alice&role=companion")
	// A killed write leaves this.
	if err := os.WriteFile(filepath.Join(dir, refreshName+".new"), []byte(`[{"sha`), 0o600); err != nil {
		t.Fatal(err)
	}
	again, c := open(t, dir)
	if again.Keys()[0].ID != i.Keys()[0].ID {
		t.Fatal("another key")
	}
	_, body := redeem(t, again, byRefresh(refresh, "core"))
	got, err := verify(t, i, c, "core", body["access_token"])
	if err != nil || got.Subject != "alice" || got.Role != token.Companion {
		t.Errorf("%+v, %v", got, err)
	}
	logIn(t, again, "login_hint=bob")
	third, _ := open(t, dir)
	if n := len(third.refresh.list); n != 2 {
		t.Errorf("%d tokens are kept, not 2", n)
	}
}

// Whoever reads the file of refresh tokens must not be able to use them.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	i, _ := open(t, dir)
	refresh := logIn(t, i, "login_hint=alice")
	for _, name := range []string{keyName, refreshName} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Contains(string(data), refresh) {
			t.Errorf("%s holds the refresh token, or %v", name, err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	entry := `{"sha256":"` + strings.Repeat("00", 32) + `","account":"alice","role":"primary","expires":1}`
	for name, test := range map[string]struct{ file, content string }{
		"empty key":   {keyName, ""},
		"short key":   {keyName, strings.Repeat("x", 31)},
		"long key":    {keyName, strings.Repeat("x", 33)},
		"empty list":  {refreshName, ""},
		"cut list":    {refreshName, "[" + entry},
		"short hash":  {refreshName, "[" + strings.Replace(entry, "0000", "", 1) + "]"},
		"no role":     {refreshName, "[" + strings.Replace(entry, "primary", "", 1) + "]"},
		"no account":  {refreshName, "[" + strings.Replace(entry, "alice", "", 1) + "]"},
		"not a list":  {refreshName, entry},
		"a huge file": {refreshName, strings.Repeat(" ", maxRefreshFile+1)},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, testName); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(t.TempDir(), ""); err == nil {
		t.Error("no name: opened")
	}
}

// When the disk fails the device learns no token, and may ask again with its code.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	i, _ := open(t, dir)
	code := begin(t, i, "login_hint=alice")
	obstacle := filepath.Join(dir, refreshName+".new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if status, body := redeem(t, i, byDevice(code)); status != http.StatusInternalServerError || body["refresh_token"] != nil {
		t.Fatalf("%d, %v", status, body)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if status, body := redeem(t, i, byDevice(code)); status != http.StatusOK {
		t.Errorf("%d, %v", status, body)
	}
	if _, err := os.Stat(filepath.Join(dir, refreshName)); errors.Is(err, fs.ErrNotExist) {
		t.Error("nothing was stored")
	}
}

func TestBounds(t *testing.T) {
	i, c := open(t, t.TempDir())
	for range maxPending {
		begin(t, i, "login_hint=alice")
	}
	if status, body := post(t, i, "/device_authorization", "login_hint=alice"); status != http.StatusServiceUnavailable {
		t.Errorf("%d, %v", status, body)
	}
	c.time = c.time.Add(pendingLife)
	code := begin(t, i, "login_hint=alice")

	oldest := storedLogin{strings.Repeat("00", 32), "bob", "primary", c.time.Add(time.Hour).Unix()}
	for len(i.refresh.list) < maxRefresh {
		i.refresh.list = append(i.refresh.list, oldest)
		oldest.Hash = strings.Repeat("11", 32)
	}
	if status, body := redeem(t, i, byDevice(code)); status != http.StatusOK {
		t.Fatalf("%d, %v", status, body)
	}
	if n := len(i.refresh.list); n != maxRefresh || i.refresh.list[0].Hash != oldest.Hash {
		t.Errorf("%d tokens are kept, the first is %s", n, i.refresh.list[0].Hash)
	}
}

func TestMetadata(t *testing.T) {
	i, _ := open(t, t.TempDir())
	_, body := serve(t, i, httptest.NewRequest(http.MethodGet, "http://gateway.test:8080/dev"+metadataPath, nil))
	for field, want := range map[string]string{
		"issuer":                        testName,
		"token_endpoint":                "http://gateway.test:8080/dev/token",
		"device_authorization_endpoint": "http://gateway.test:8080/dev/device_authorization",
		"jwks_uri":                      "http://gateway.test:8080/dev/jwks.json",
	} {
		if body[field] != want {
			t.Errorf("%s: %v, want %s", field, body[field], want)
		}
	}
	_, body = serve(t, i, httptest.NewRequest(http.MethodGet, "http://gateway.test:8080/dev/jwks.json", nil))
	key := body["keys"].([]any)[0].(map[string]any)
	want := i.Keys()[0]
	if key["kid"] != want.ID || key["x"] != base64.RawURLEncoding.EncodeToString(want.Public) || key["crv"] != "Ed25519" || key["d"] != nil {
		t.Errorf("%v", key)
	}
	_, body = post(t, i, "/device_authorization", "login_hint=alice")
	if body["verification_uri"] != "http://gateway.test:8080/dev/device" || len(body["user_code"].(string)) != 9 {
		t.Errorf("%v", body)
	}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/device", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "approves every login by itself") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
