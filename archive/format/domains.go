// SPDX-License-Identifier: Apache-2.0

package format

// Every domain-separation string of the archive. Each names one purpose and the format's version; HKDF gets it as info,
// followed by the archive id, so that keys of one purpose or archive are worthless for another.
const (
	domainWrap       = "coffer archive v1 wrapping key"
	domainCommitment = "coffer archive v1 key commitment"
	domainContentID  = "coffer archive v1 content id"
	domainPageID     = "coffer archive v1 page id"
	domainCut        = "coffer archive v1 listing cut"
	domainPack       = "coffer archive v1 pack"
	domainIndex      = "coffer archive v1 index"
	domainSnapshot   = "coffer archive v1 snapshot"
	domainHead       = "coffer archive v1 head"
	domainLock       = "coffer archive v1 lock"
)

// domainOf gives the domain of the key that seals objects of a type. Keyrings are sealed under K, not under a master.
func domainOf(t Type) string {
	switch t {
	case TypePack:
		return domainPack
	case TypeIndex:
		return domainIndex
	case TypeSnapshot:
		return domainSnapshot
	case TypeHead:
		return domainHead
	case TypeLock:
		return domainLock
	}
	panic("format: no key for this object type")
}
