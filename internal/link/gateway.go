// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

const (
	maxInFlight    = 1024 // requests of one gateway at a node
	maxRequest     = 16<<10 + 64
	requestTimeout = 30 * time.Second
)

// How a request ended.
const (
	statusAnswered    = 0
	statusUnavailable = 1
	statusBusy        = 2
)

// serveGateway takes a gateway's requests, many at a time, and tells it of every change of the table.
func (n *Network) serveGateway(ctx context.Context, c *conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.answers(ctx, c)
	n.running.Go(func() error {
		for {
			table, changed := n.table()
			c.put(frameTable, table.append(nil))
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	})
	room := make(chan struct{}, maxInFlight)
	for {
		f, err := c.read(maxRequest)
		if err != nil || len(f.body) < 8 || f.kind != frameRequest && f.kind != frameDescriptor {
			return
		}
		id, body := binary.BigEndian.Uint64(f.body), f.body[8:]
		select {
		case room <- struct{}{}:
		default:
			c.put(frameAnswer, answerBody(id, statusBusy, nil))
			continue
		}
		n.running.Go(func() error {
			defer func() { <-room }()
			answer, err := n.ask(ctx, f.kind, body)
			c.put(frameAnswer, answerBody(id, statusOf(err), answer))
			return nil
		})
	}
}

func (n *Network) ask(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch {
	case kind == frameDescriptor && n.config.Descriptor != nil:
		return n.config.Descriptor(ctx)
	case kind == frameRequest && n.config.Handle != nil:
		return n.config.Handle(ctx, body)
	}
	return nil, errors.New("link: this node serves no gateways")
}

func statusOf(err error) byte {
	switch {
	case err == nil:
		return statusAnswered
	case errors.Is(err, ErrBusy):
		return statusBusy
	}
	return statusUnavailable
}

func answerBody(id uint64, status byte, answer []byte) []byte {
	return append(append(binary.BigEndian.AppendUint64(make([]byte, 0, 9+len(answer)), id), status), answer...)
}
