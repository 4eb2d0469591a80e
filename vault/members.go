// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/internal/link"
)

// What the network brings.

func (h *host) bring(slot uint16, data []byte) {
	h.mu.Lock()
	deliver := h.deliver
	h.mu.Unlock()
	if deliver != nil {
		deliver(slot, data)
	}
}

func (h *host) serve(ctx context.Context, request []byte) ([]byte, error) {
	h.mu.Lock()
	handle := h.handle
	h.mu.Unlock()
	if handle == nil {
		return nil, ErrUnavailable
	}
	answer, err := handle(ctx, request)
	if errors.Is(err, ErrBusy) {
		err = link.ErrBusy
	}
	return answer, err
}

func (h *host) describe(ctx context.Context) ([]byte, error) {
	h.mu.Lock()
	about := h.about
	h.mu.Unlock()
	if about == nil {
		return nil, ErrUnavailable
	}
	return about(ctx)
}

// What the core tells.

// members says who the others are. What the host of one told of itself is not believed further than that it may be dialled.
func (h *host) members(list []stream.Member) {
	var nodes []link.Node
	for _, m := range list {
		info, err := link.ParseInfo(m.Host)
		if err != nil {
			h.config.logger().Warn("a node told of itself what cannot be read", "slot", m.Slot)
			continue
		}
		if info.Fingerprint != h.info.Fingerprint {
			nodes = append(nodes, link.Node{Slot: m.Slot, Info: info})
		}
	}
	h.network.SetPeers(nodes)
}

func (h *host) leads(partition, slot uint16) {
	h.mu.Lock()
	h.leaders[partition] = slot
	h.mu.Unlock()
	if h.network != nil {
		h.network.SetLeader(partition, slot)
	}
}

func (h *host) stats(s stream.Stats) {
	h.mu.Lock()
	h.slot = s.Slot
	h.mu.Unlock()
	if h.network != nil && s.Slot != 0 {
		h.network.SetOwn(s.Slot, h.info)
	}
}

// led counts the partitions that this node leads at this moment.
func (h *host) led() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, slot := range h.leaders {
		if slot == h.slot && slot != 0 {
			n++
		}
	}
	return n
}
