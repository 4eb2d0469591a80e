// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// target is a vault under load.
type target struct {
	url   string
	fleet *wire.Descriptor
	login func(ctx context.Context, account string) (recovery.TokenSource, error)
	child *child // nil: somebody else's vault
}

// newTarget finds a running vault. It pins what it is shown: what is measured has no secrets.
func newTarget(ctx context.Context, at string) (*target, error) {
	transport, err := recovery.NewHTTP(recovery.HTTPConfig{URL: at})
	if err != nil {
		return nil, usageError{err}
	}
	encoded, err := transport.Descriptor(ctx)
	if err != nil {
		return nil, err
	}
	fleet, err := wire.ParseDescriptor(encoded)
	if err != nil {
		return nil, err
	}
	issuerURL, err := discover(ctx, at)
	if err != nil {
		return nil, err
	}
	i := recovery.Issuer{URL: issuerURL, Name: fleet.Policy.Issuer}
	audiences := []string{fleet.Policy.CoreAudience, fleet.Policy.GatewayAudience}
	return &target{url: at, fleet: fleet, login: func(ctx context.Context, account string) (recovery.TokenSource, error) {
		refresh, err := i.Login(ctx, recovery.LoginRequest{Account: account, Role: token.Primary.String(), Audiences: audiences}, func(string, string) {})
		return recovery.NewTokens(i, refresh, nil), err
	}}, nil
}

const maxDiscovery = 64 << 10 // bytes

// discover asks a gateway where its issuer is. It follows no redirect: the login goes to whom the user named.
func discover(ctx context.Context, at string) (string, error) {
	where, err := url.JoinPath(at, ".well-known/coffer")
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDiscovery+1))
	if err != nil {
		return "", err
	}
	var d discovery
	if response.StatusCode != http.StatusOK || len(body) > maxDiscovery || json.Unmarshal(body, &d) != nil || d.IssuerURL == "" {
		return "", fmt.Errorf("%s does not say where its issuer is: %s", where, response.Status)
	}
	return d.IssuerURL, nil
}

// withChild runs measure against a vault of its own.
func withChild(ctx context.Context, replicas, partitions int, measure func(context.Context, *target) error) error {
	dir, err := os.MkdirTemp("", "cofferd-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The child opens it, too. Here it only signs, and leaves the files alone, so that accounts can be more than it remembers logins of.
	i, err := issuer.Open(filepath.Join(dir, "issuer"), issuerName)
	if err != nil {
		return err
	}
	c, err := startChild(dir, replicas, partitions)
	if err != nil {
		return err
	}
	defer c.stop()
	ctx, cancel := c.whileAlive(ctx)
	defer cancel()
	t, err := c.target(ctx, i)
	if err == nil {
		err = measure(ctx, t)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errChild) {
		return cause
	}
	return err
}

func (c *child) target(ctx context.Context, i *issuer.Issuer) (*target, error) {
	at, err := c.url(ctx)
	if err != nil {
		return nil, err
	}
	t, err := newTarget(ctx, at)
	if err != nil {
		return nil, err
	}
	t.child = c
	t.login = func(_ context.Context, account string) (recovery.TokenSource, error) { return issued{i, account}, nil }
	return t, nil
}

// cpu is what client and vault have taken up to now.
func (t *target) cpu() cpu {
	c := cpu{client: ownCPU()}
	if t.child != nil {
		c.host, c.core = t.child.cpu()
	}
	return c
}

// issued are an account's tokens from an issuer in this process.
type issued struct {
	issuer  *issuer.Issuer
	account string
}

func (i issued) Token(_ context.Context, audience string) (string, error) {
	return i.issuer.Token(i.account, token.Primary, audience), nil
}
