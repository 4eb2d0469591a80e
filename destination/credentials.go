// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
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

	Drive oauth.Credentials `json:"-"` // has a form of its own
}

// maxSecretBytes is what every keyring holds.
const maxSecretBytes = 1900

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
	text, err := c.encode(l.Kind())
	if err != nil {
		return err
	}
	defer clear(text)
	return s.SaveSecret(SecretName(l), text)
}

func (c Credentials) encode(kind Kind) ([]byte, error) {
	if kind != KindDrive {
		return json.Marshal(c)
	}
	text := c.Drive.Encode()
	if len(text) > maxSecretBytes {
		clear(text)
		c.Drive.AccessToken = "" // which the next run gets anew
		text = c.Drive.Encode()
	}
	return text, nil
}

// decode reads what encode made. The errors of package json may quote, so they are not passed on.
func (c *Credentials) decode(kind Kind, text []byte) (err error) {
	if kind == KindDrive {
		c.Drive, err = oauth.Decode(text)
	} else {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		return fmt.Errorf("%w: this program did not write them", coffer.ErrState)
	}
	return nil
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
	if err := c.decode(l.Kind(), text); err != nil {
		return Credentials{}, fmt.Errorf("the credentials of %s: %w", l, err)
	}
	return c, nil
}
