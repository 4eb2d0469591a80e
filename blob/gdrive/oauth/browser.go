// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/coffer-backup/coffer/blob"
)

// Browser signs in with a browser on this machine. show is given the address to open; what it returns other than nil ends the
// sign-in. The address is no secret: without the verifier that stays here, the code that answers it is worth nothing.
//
// Errors: blob.ErrDenied if the user refuses, or does nothing; blob.ErrUnreachable.
func (a Authorizer) Browser(ctx context.Context, show func(address string) error) (Credentials, error) {
	ctx, cancel := a.limited(withHTTP(ctx, a.HTTP))
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", err)
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	waiter := &waiter{host: listener.Addr().String(), state: state, answer: make(chan url.Values, 1)}
	server := &http.Server{Handler: waiter, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		server.Shutdown(stop) // lets the page of thanks out
		server.Close()
		<-served
	}()

	cfg := a.config()
	cfg.RedirectURL = "http://" + waiter.host
	// Without prompt=consent, Google gives a refresh token for the first sign-in only.
	address := cfg.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent"))
	if err := show(address); err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", err)
	}
	select {
	case <-ctx.Done():
		return Credentials{}, fmt.Errorf("sign in: %w", context.Cause(ctx))
	case answer := <-waiter.answer:
		code, err := waiter.code(answer)
		if err != nil {
			return Credentials{}, fmt.Errorf("sign in: %w", err)
		}
		t, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		if err != nil {
			return Credentials{}, fmt.Errorf("sign in: %w", explain(ctx, err, destination(Credentials{Scope: a.Scope})))
		}
		return a.credentials(t)
	}
}

// waiter takes the one request that carries the state. Whatever else comes to the port, from another page or another user of the machine, is turned away and
// changes nothing.
type waiter struct {
	host, state string
	answer      chan url.Values
}

const thanks = `<!doctype html><meta charset="utf-8"><title>Coffer</title><p>Coffer has the answer. You can close this page.</p>`

func (s *waiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := r.URL.Query()
	right := subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(s.state)) == 1
	// A Host of another name is a page that resolves its own name to loopback.
	if r.Method != http.MethodGet || r.URL.Path != "/" || r.Host != s.host || !right {
		http.Error(w, "not expected", http.StatusForbidden)
		return
	}
	select {
	case s.answer <- answer:
	default:
		http.Error(w, "answered already", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	io.WriteString(w, thanks)
}

func (s *waiter) code(answer url.Values) (string, error) {
	switch refused := answer.Get("error"); {
	case refused == "access_denied":
		return "", fmt.Errorf("%w: the permission was refused in the browser", blob.ErrDenied)
	case refused != "":
		return "", fmt.Errorf("%w: Google answered %.64q", blob.ErrDenied, refused)
	case answer.Get("code") == "":
		return "", errors.New("an answer without a code; begin again")
	}
	return answer.Get("code"), nil
}
