// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"strconv"
)

// derivationVectors are of ids, hashes and keys that client and core compute alike.
func derivationVectors() (all []*vector) {
	account := specAccount("https://issuer.example", "alice")
	add := func(kind, name, comment string, value any, body []byte, fields ...string) {
		s := vectorSet{base: map[string]string{"kind": kind}}
		for i := 0; i < len(fields); i += 2 {
			s.base[fields[i]] = fields[i+1]
		}
		s.good(name, comment, value, body)
		all = append(all, s.all...)
	}
	fleet := hex.EncodeToString(specFleet)
	add("account-id", "alice", "the subject is the input", account, []byte("alice"), "issuer", "https://issuer.example")
	add("account-id", "shifted", "issuer and subject do not run together", specAccount("https://issuer.examplea", "lice"), []byte("lice"),
		"issuer", "https://issuer.examplea")
	for _, n := range []int{1, 5, 256} {
		add("partition", strconv.Itoa(n), "the account's id is the input", specPartition(specFleet, account, uint64(n)), account,
			"fleet", fleet, "partitions", strconv.Itoa(n))
	}
	k := named("K")
	secret := specHKDF(k, cat(specFleet, account), "coffer/v1/manage")
	add("manage-secret", "hash", "K is the input", struct{ Secret, Hash []byte }{secret, specHash("coffer/v1/manage-hash", secret)}, k,
		"fleet", fleet, "account", hex.EncodeToString(account))
	ke1 := long("KE1", 96)
	add("element", "ke1", "KE1 is the input; its first 32 bytes count", specHash("coffer/v1/element", id, ke1[:32]), ke1,
		"registration", hex.EncodeToString(id))
	add("hpke-key", "seed", "the seed is the input", struct{ ID, Public []byte }{specRequestHead(fleetKey, 0)[1:9], fleetKey.public()}, specSeed, "fleet", fleet)
	for _, domain := range []string{DomainSealedKey, DomainDelivery, DomainCheck} {
		context := id
		if domain == DomainSealedKey {
			context = nil
		}
		export := long("64 bytes", 64)
		add("derive", domain[len("coffer/v1/"):], "a secret of 64 bytes is the input", specHKDF(export, context, domain), export,
			"domain", domain, "context", hex.EncodeToString(context))
	}
	return all
}
