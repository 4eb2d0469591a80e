// SPDX-License-Identifier: Apache-2.0

package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// connect logs a device in and returns its client. The fingerprint comes with the app or from the operator, never from the gateway.
func connect(ctx context.Context, gateway, issuerURL, fingerprint string) (*recovery.Client, error) {
	open, err := recovery.NewHTTP(recovery.HTTPConfig{URL: gateway})
	if err != nil {
		return nil, err
	}
	raw, err := open.Descriptor(ctx)
	if err != nil {
		return nil, err
	}
	fleet, err := recovery.Pin(raw, fingerprint)
	if err != nil {
		return nil, err
	}
	policy := &fleet.Policy
	issuer := recovery.Issuer{URL: issuerURL, Name: policy.Issuer}
	refresh, err := issuer.Login(ctx, recovery.LoginRequest{Audiences: []string{policy.CoreAudience, policy.GatewayAudience}},
		func(url, code string) { fmt.Println("Open", url, "and compare the code", code) })
	if err != nil {
		return nil, err
	}
	tokens := recovery.NewTokens(issuer, refresh, saveRefreshToken)
	token, err := tokens.Token(ctx, policy.CoreAudience)
	if err != nil {
		return nil, err
	}
	who, err := recovery.IdentityOf(token)
	if err != nil {
		return nil, err
	}
	transport, err := recovery.NewHTTP(recovery.HTTPConfig{URL: gateway, Tokens: tokens, Audience: policy.GatewayAudience})
	if err != nil {
		return nil, err
	}
	return recovery.New(recovery.Config{Descriptor: fleet, Account: who.Account(), Transport: transport, Tokens: tokens})
}

// What an app keeps where its other secrets are.
func saveRefreshToken(string) error { return nil }

// What an app keeps beside the key, durably: after a crash Client.Confirm finishes the registration of that name.
func saveRegistration(wire.RegistrationID) error { return nil }

var (
	ctx         = context.Background()
	key         [32]byte // the backup key
	fingerprint = "5f1c 09b2 ..."
)

func ExampleClient_Register() {
	client, err := connect(ctx, "https://vault.example", "https://login.example", fingerprint)
	if err != nil {
		log.Fatal(err)
	}
	_, done, err := client.Register(ctx, &key, "four words that fit", recovery.RegisterOptions{BeforeConfirm: saveRegistration})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("passwords that stopped working:", done.Replaced)
}

func ExampleClient_Recover() {
	client, err := connect(ctx, "https://vault.example", "https://login.example", fingerprint)
	if err != nil {
		log.Fatal(err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	chosen, err := recovery.Choose(status, false)
	if err != nil {
		log.Fatal(err) // says whether the key was destroyed, or never there
	}
	recovered, err := client.Recover(ctx, "four words that fit", chosen.ID)
	if wrong, ok := errors.AsType[*recovery.WrongPassword](err); ok {
		log.Fatal(wrong.GuessesLeft, " guesses left; the next is allowed in ", wrong.RetryAfter)
	}
	if maybe, ok := errors.AsType[*recovery.MaybeCounted](err); ok {
		log.Fatal(maybe) // the same password, given to the same client, is the same guess
	}
	if err != nil {
		log.Fatal(err)
	}
	key = recovered.K
}
