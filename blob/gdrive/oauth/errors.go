// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// SignInAgain is what to do when Google no longer takes a sign-in for a destination, as a user writes it: "gdrive:" or "gdrive:FOLDER".
func SignInAgain(destination string) string {
	return "sign in again: coffer destination add " + destination
}

func destination(c Credentials) string {
	if c.has(ScopeFolder) {
		return "gdrive:FOLDER"
	}
	return "gdrive:"
}

// explain turns the library's errors into ours, for a destination. It takes the code and the description from an answer, and never the answer itself, which may hold a token.
func explain(ctx context.Context, err error, what string) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
		}
		return transport.FromNetwork(ctx, err)
	}
	switch answer.ErrorCode {
	case "invalid_grant":
		return fmt.Errorf("%w: Google no longer takes this sign-in: it was revoked, or not used for six months, or it is 7 days old and was "+
			"given for an OAuth client in testing; %s", blob.ErrDenied, SignInAgain(what))
	case "invalid_client", "unauthorized_client":
		return fmt.Errorf("%w: Google does not know this OAuth client, or its secret is wrong; compare with the console, then %s", blob.ErrDenied, SignInAgain(what))
	case "invalid_scope":
		return fmt.Errorf("%w: Google does not give this permission in this way. With a code on another device only a visible folder works "+
			"(gdrive:FOLDER); for the hidden one sign in with a browser", blob.ErrDenied)
	case "access_denied":
		return fmt.Errorf("%w: the permission was refused", blob.ErrDenied)
	case "expired_token":
		return fmt.Errorf("%w: the code was not used in time; begin again", blob.ErrDenied)
	}
	said := fmt.Errorf("the sign-in service answered %d %.64q (%.200q)", answer.Response.StatusCode, answer.ErrorCode, answer.ErrorDescription)
	if passes, after := transport.FromStatus(answer.Response); passes {
		return transport.Temporary(said, after)
	}
	return said
}
