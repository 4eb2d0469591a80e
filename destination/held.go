// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"bytes"
	"sync"
)

// Held keeps secrets in memory, for credentials that are tried before they are kept. Its zero value is empty.
type Held struct {
	mu      sync.Mutex
	secrets map[string][]byte
}

// SaveSecret keeps a copy.
func (h *Held) SaveSecret(name string, secret []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secrets == nil {
		h.secrets = make(map[string][]byte)
	}
	clear(h.secrets[name])
	h.secrets[name] = bytes.Clone(secret)
	return nil
}

// LoadSecret returns a copy.
func (h *Held) LoadSecret(name string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.secrets[name]), nil
}

// DeleteSecret wipes what is there.
func (h *Held) DeleteSecret(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.secrets[name])
	delete(h.secrets, name)
	return nil
}
