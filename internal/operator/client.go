// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/coffer-backup/coffer/vault"
)

// Client speaks to the node that runs in a folder. It has no connection between commands.
type Client struct {
	dir  string
	http http.Client
}

// NewClient returns a client of the node in dir, which need not run yet.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socketOf(dir))
	}
	return &Client{dir, http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Invite makes a ticket, good once and for a day, with which a node joins in a slot.
func (c *Client) Invite(ctx context.Context, slot vault.Slot) (string, error) {
	var t ticketBody
	err := c.do(ctx, http.MethodPost, "/invite", slotBody{slot}, &t)
	return t.Ticket, err
}

// Remove takes a slot out of the fleet.
func (c *Client) Remove(ctx context.Context, slot vault.Slot) error {
	return c.do(ctx, http.MethodPost, "/remove", slotBody{slot}, new(struct{}))
}

// Transfer hands leadership on.
func (c *Client) Transfer(ctx context.Context, t vault.Transfer) error {
	return c.do(ctx, http.MethodPost, "/transfer", t, new(struct{}))
}

// Drain hands every leadership on, and returns when the node has none.
func (c *Client) Drain(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/drain", struct{}{}, new(struct{}))
}

func (c *Client) do(ctx context.Context, method, path string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: start it with cofferd vault run (%s)", ErrNotRunning, c.dir)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	return unpack(response.StatusCode, text, into)
}

func unpack(status int, text []byte, into any) error {
	if status == http.StatusOK {
		return json.Unmarshal(text, into)
	}
	var e errorBody
	if json.Unmarshal(text, &e) != nil || e.Error == "" {
		return fmt.Errorf("the node answers %d", status)
	}
	return errors.New(e.Error)
}
