// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
)

// All objects of an archive lie below its id, so that several archives share a destination without touching each other:
//
//	<archive id>/keys/<epoch>-<copy>         the keyring under K, twice: it is the one object whose loss loses all
//	<archive id>/packs/<digest>              contents
//	<archive id>/indexes/<digest>            where in which pack each content is
//	<archive id>/snapshots/<digest>
//	<archive id>/heads/<generation>-<digest>
//	<archive id>/locks/<digest>
//
// A digest is the SHA-256 of the object's bytes, so that copies can be checked without a key.
const (
	dirKeys      = "keys/"
	dirPacks     = "packs/"
	dirIndexes   = "indexes/"
	dirSnapshots = "snapshots/"
	dirHeads     = "heads/"
	dirLocks     = "locks/"
)

const keyCopies = 2

// headsKept is how many generations of heads stay at the destination, as a fallback for damage and to see forks by.
const headsKept = 8

// maxGeneration is the largest that a head's name can hold.
const maxGeneration = 1<<62 - 1

func (a *Archive) name(dir, rest string) string { return a.id.String() + "/" + dir + rest }

func keyName(id ID, epoch uint32, copy int) string {
	return fmt.Sprintf("%s/%s%08d-%d", id, dirKeys, epoch, copy)
}

func parseKeyName(id ID, name string) (epoch uint32, ok bool) {
	rest, ok := strings.CutPrefix(name, id.String()+"/"+dirKeys)
	if !ok || len(rest) != 10 || rest[8] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[:8], 10, 32)
	return uint32(n), err == nil && n > 0 && n <= format.MaxEpochs
}

type headName struct {
	generation uint64
	digest     format.Digest
}

func (h headName) String() string { return fmt.Sprintf("%016x-%s", h.generation, h.digest) }

func parseHeadName(rest string) (h headName, ok bool) {
	if len(rest) != 16+1+64 || rest[16] != '-' {
		return h, false
	}
	n, err := strconv.ParseUint(rest[:16], 16, 62)
	h.generation = n
	h.digest, ok = format.ParseDigest(rest[17:])
	return h, ok && err == nil && h.String() == rest
}

// dirOf gives the folder of a type whose objects are named by digest alone.
func dirOf(t format.Type) string {
	switch t {
	case format.TypePack:
		return dirPacks
	case format.TypeIndex:
		return dirIndexes
	case format.TypeSnapshot:
		return dirSnapshots
	case format.TypeLock:
		return dirLocks
	}
	panic("archive: objects of this type are not named by digest alone")
}
