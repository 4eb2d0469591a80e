// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
)

// Secrets keeps small secrets by name, durably; a keyring, most likely. Many goroutines may use it.
type Secrets interface {
	// SaveSecret keeps a secret in place of what was there. It does not keep the slice.
	SaveSecret(name string, secret []byte) error

	// LoadSecret returns what is kept under name, which the caller wipes; nil if there surely is none. An error may pass, as that of a
	// keyring that is locked, which wraps coffer.ErrKeysLocked.
	LoadSecret(name string) ([]byte, error)

	// DeleteSecret removes what is kept under name; there may be nothing.
	DeleteSecret(name string) error
}

// Credentials open a location; each kind has its own fields. They print as "(redacted)".
type Credentials struct {
	AccessKey    string `json:"access_key,omitempty"` // S3
	SecretKey    string `json:"secret_key,omitempty"`
	SessionToken string `json:"session_token,omitempty"`

	Password string `json:"password,omitempty"` // WebDAV

	ClientID     string    `json:"client_id,omitempty"` // Google Drive: the OAuth client
	ClientSecret string    `json:"client_secret,omitempty"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	AccessToken  string    `json:"access_token,omitempty"`
	Expiry       time.Time `json:"expiry,omitzero"` // of the access token
}

func (Credentials) String() string   { return "(redacted)" }
func (Credentials) GoString() string { return "(redacted)" }

// ErrNoCredentials means that this device has none for a location. It is a case of blob.ErrDenied.
var ErrNoCredentials = fmt.Errorf("%w: this device has no credentials for it", blob.ErrDenied)

// SecretName is the name under which the credentials of a location are kept.
func SecretName(l Location) string {
	sum := sha256.Sum256([]byte(l.String()))
	return "destination-" + hex.EncodeToString(sum[:16])
}

// SaveCredentials keeps the credentials of a location.
func SaveCredentials(s Secrets, l Location, c Credentials) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	defer clear(text)
	return s.SaveSecret(SecretName(l), text)
}

// LoadCredentials returns what SaveCredentials kept, or ErrNoCredentials.
func LoadCredentials(s Secrets, l Location) (c Credentials, err error) {
	text, err := s.LoadSecret(SecretName(l))
	if err != nil {
		return c, fmt.Errorf("the credentials of %s: %w", l, err)
	}
	if text == nil {
		return c, fmt.Errorf("%s: %w", l, ErrNoCredentials)
	}
	defer clear(text)
	if json.Unmarshal(text, &c) != nil { // whose error may quote
		return Credentials{}, fmt.Errorf("the credentials of %s: %w: this program did not write them", l, coffer.ErrState)
	}
	return c, nil
}
