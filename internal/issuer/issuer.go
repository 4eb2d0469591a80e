// SPDX-License-Identifier: Apache-2.0

// Package issuer is a token issuer for DEVELOPMENT: OAuth's device login (RFC
// 8628), in which THE ISSUER APPROVES EVERY LOGIN BY ITSELF. Whoever reaches it
// is whomever he says he is, primary device included. It belongs on the loopback
// interface, in front of made-up accounts, and nowhere else; an operator has an
// issuer of his own.
//
// It guarantees that its tokens are what package token accepts, that a refresh
// token which was handed out still works after a crash, and that what it keeps
// is bounded. It trusts everyone who can connect, and its folder: the signing
// key lies there in the clear, refresh tokens only as hashes. It refuses a
// folder with files that it did not write. One process at a time may have the
// folder open; its caller sees to that.
package issuer

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/internal/token"
)

// Lifetime is how long an access token is good for.
const Lifetime = 10 * time.Minute

// Issuer is a running issuer. It is safe for concurrent use.
type Issuer struct {
	name string // what its tokens call it
	key  ed25519.PrivateKey
	now  func() time.Time

	mu      sync.Mutex
	pending map[secretHash]login // by device code
	refresh *refreshFile
}

// login is whom a device logs in as, until when.
type login struct {
	identity
	expires time.Time
}

// identity is whom a token names.
type identity struct {
	account string
	role    token.Role
}

// Open opens the folder, and makes it and the signing key at the first start. issuerURL is the name in
// the tokens and in a fleet's policy. It need not be where the issuer listens, because a
// fleet's policy outlives an address.
func Open(dir, issuerURL string) (*Issuer, error) {
	if issuerURL == "" {
		return nil, errors.New("issuer: it needs a name")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := (folder{filepath.Dir(dir)}).flushNames(); err != nil { // or a crash could lose the folder with all that is in it
		return nil, err
	}
	key, err := openKey(folder{dir})
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	refresh, err := openRefreshFile(folder{dir})
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return &Issuer{name: issuerURL, key: key, now: time.Now, pending: map[secretHash]login{}, refresh: refresh}, nil
}

// Keys returns what a fleet pins.
func (i *Issuer) Keys() []token.Key {
	public := i.key.Public().(ed25519.PublicKey)
	return []token.Key{{ID: keyID(public), Algorithm: token.EdDSA, Public: public}}
}

// Token issues an access token to an account. An audience is one service: a token for two could be
// used by the first at the second.
func (i *Issuer) Token(account string, role token.Role, audience string) string {
	now := i.now()
	claims := struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Role     string `json:"coffer_role"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{i.name, account, audience, role.String(), now.Unix(), now.Add(Lifetime).Unix()}
	header := map[string]string{"alg": token.EdDSA, "kid": i.Keys()[0].ID, "typ": "JWT"}
	signed := part(header) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(signed)))
}

func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// Handler serves the issuer. It may be mounted below a prefix with [http.StripPrefix].
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metadataPath, i.metadata)
	mux.HandleFunc("GET "+keySetPath, i.keySet)
	mux.HandleFunc("GET "+pagePath, i.page)
	mux.HandleFunc("POST "+devicePath, form(i.authorizeDevice))
	mux.HandleFunc("POST "+tokenPath, form(i.grant))
	return mux
}
