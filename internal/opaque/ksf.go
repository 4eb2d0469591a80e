// SPDX-License-Identifier: Apache-2.0

package opaque

import lib "github.com/bytemare/opaque"

// KSF is the Argon2id cost of one registration. The vault stores it and a client obeys it, so both check it: too
// little would make offline guesses cheap for whoever opens a core, too much would exhaust the client's memory.
type KSF struct {
	TimeCost, MemoryKiB uint32
	Lanes               uint8
}

// DefaultKSF is the second choice of RFC 9106, section 4: 64 MiB, three passes, four lanes.
var DefaultKSF = KSF{TimeCost: 3, MemoryKiB: 64 << 10, Lanes: 4}

const (
	minMemoryKiB = 64 << 10
	maxMemoryKiB = 1 << 20
	minTimeCost  = 3
	maxTimeCost  = 16
	maxLanes     = 16
)

// Check refuses a cost below the default's or above what a client should be made to pay.
func (k KSF) Check() error {
	switch {
	case k.MemoryKiB < minMemoryKiB, k.MemoryKiB > maxMemoryKiB,
		k.TimeCost < minTimeCost, k.TimeCost > maxTimeCost,
		k.Lanes < 1, k.Lanes > maxLanes:
		return ErrCost
	}
	return nil
}

// options gives the salt and length of RFC 9807, section 7: sixteen zero bytes and Nh.
func (k KSF) options() *lib.ClientOptions {
	return &lib.ClientOptions{
		KSFParameters: []uint64{uint64(k.TimeCost), uint64(k.MemoryKiB), uint64(k.Lanes)},
		KSFSalt:       make([]byte, 16), KSFLength: 64,
	}
}
