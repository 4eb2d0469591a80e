// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

const (
	wellKnown    = "/.well-known/coffer" // below a gateway's URL: which issuer its logins come from
	maxWellKnown = 64 << 10              // bytes
)

// authenticate finds out whom this device is, and fills that into s. It returns the refresh token of a device login; an app's own tokens have none.
func (d *Device) authenticate(ctx context.Context, o LoginOptions, s *vaultState, descriptor *wire.Descriptor) (refresh string, err error) {
	tokens := d.o.Tokens
	if tokens == nil {
		if s.IssuerURL, err = issuerURL(ctx, o.URL); err != nil {
			return "", err
		}
		issuer := issuerAt(s.IssuerURL, descriptor)
		if refresh, err = deviceLogin(ctx, issuer, o, &descriptor.Policy); err != nil {
			return "", err
		}
		tokens = recovery.NewTokens(issuer, refresh, func(next string) error {
			refresh = next
			return nil
		})
	}
	token, err := tokens.Token(ctx, descriptor.Policy.CoreAudience)
	if err != nil {
		return "", err
	}
	identity, err := recovery.IdentityOf(token)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", recovery.ErrLogin, err)
	case identity.Issuer != descriptor.Policy.Issuer:
		return "", fmt.Errorf("%w: the issuer is %q, and the vault trusts %q", recovery.ErrLogin, identity.Issuer, descriptor.Policy.Issuer)
	case o.Role != "" && identity.Role != o.Role:
		return "", fmt.Errorf("%w: the issuer gave the role %q, not %q", recovery.ErrLogin, identity.Role, o.Role)
	}
	s.Account, s.Role = identity.Subject, identity.Role
	return refresh, nil
}

func deviceLogin(ctx context.Context, issuer recovery.Issuer, o LoginOptions, p *wire.Policy) (string, error) {
	prompt := o.Prompt
	if prompt == nil {
		prompt = func(string, string) {}
	}
	return issuer.Login(ctx, recovery.LoginRequest{
		Account: o.Account, Role: o.Role, Audiences: []string{p.CoreAudience, p.GatewayAudience},
	}, prompt)
}

// issuerURL asks a gateway, whose URL has been checked, for its issuer. A gateway that lies about it sends the user to a
// page that is not the issuer's; the tokens of another issuer are worth nothing at the core.
func issuerURL(ctx context.Context, gateway string) (string, error) {
	at, err := url.JoinPath(gateway, wellKnown)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Timeout: exchangeTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", recovery.ErrUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxWellKnown+1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", recovery.ErrUnavailable, err)
	}
	var answer struct {
		IssuerURL string `json:"issuer_url"`
	}
	if response.StatusCode != http.StatusOK || len(body) > maxWellKnown || json.Unmarshal(body, &answer) != nil || answer.IssuerURL == "" {
		return "", fmt.Errorf("%w: %s does not tell where to log in (status %d)", recovery.ErrUnavailable, at, response.StatusCode)
	}
	return answer.IssuerURL, nil
}
