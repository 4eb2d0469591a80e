// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"context"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

// Google says where Google Drive and its login are; what is empty is Google's.
type Google struct {
	Drive string // https://HOST/drive/v3/
	Login oauth.Endpoints
}

// SignIn is how a user logs in to Drive, with an OAuth client of his own or of whoever runs the service.
func (o *Opener) SignIn(l Drive, client oauth.Client) oauth.Authorizer {
	return oauth.Authorizer{Client: client, Scope: gdrive.Scope(l.Folder), Endpoints: o.Google.Login}
}

func (o *Opener) openDrive(ctx context.Context, l Drive, create bool) (blob.Store, error) {
	login, err := LoadCredentials(o.Secrets, l)
	if err != nil {
		return nil, err
	}
	tokens := oauth.NewSource(login.Drive, oauth.SourceOptions{
		Save:      func(c oauth.Credentials) error { return SaveCredentials(o.Secrets, l, Credentials{Drive: c}) },
		Endpoints: o.Google.Login,
	})
	config := gdrive.Config{Folder: l.Folder, Tokens: tokens, UploadBytesPerSecond: o.UploadBytesPerSecond, Endpoint: o.Google.Drive}
	if create {
		return result(gdrive.Create(ctx, config))
	}
	return result(gdrive.Open(ctx, config))
}
