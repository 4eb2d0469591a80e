// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

const keySetName = "token-keys.json"

// write makes the folders and files of the nodes. policy and keys are for a fleet that is new.
func (f *fleet) write(gateway settings.Fingerprint, policy *wire.Policy, keys []token.Key) error {
	if err := writeKeySet(filepath.Join(f.dir, keySetName), keys); err != nil {
		return err
	}
	for _, n := range f.nodes {
		text := fmt.Sprintf("# Replica %d of cofferd dev. Start it by hand: cofferd vault run --config %s\ndir = \".\"\nlisten = \"127.0.0.1:0\"\ngateways = [%q]\ncore = %q\n",
			n.slot, n.file(), gateway, f.core)
		if n.slot == 1 {
			text += fleetSection(policy)
		}
		if err := n.write(text); err != nil {
			return err
		}
	}
	return nil
}

func fleetSection(p *wire.Policy) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n[fleet]\nrestart = %q\npartitions = %d\nbudget = %d\n", p.Restart, p.Partitions, p.Budget)
	fmt.Fprintf(&text, "cooldown = %q\ngrace = %q\nprovable = %q\n", milliseconds(p.CooldownMs), milliseconds(p.GraceMs), milliseconds(p.ProvableMs))
	fmt.Fprintf(&text, "issuer = %q\ncore_audience = %q\ngateway_audience = %q\n", p.Issuer, p.CoreAudience, p.GatewayAudience)
	fmt.Fprintf(&text, "token_keys = %q\n", "../"+keySetName)
	return text.String()
}

// writeKeySet writes the development issuer's keys, which are Ed25519, as issuers publish them.
func writeKeySet(path string, keys []token.Key) error {
	type jwk struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		Kid string `json:"kid"`
		X   string `json:"x"`
	}
	set := map[string][]jwk{}
	for _, k := range keys {
		set["keys"] = append(set["keys"], jwk{"OKP", "Ed25519", k.ID, base64.RawURLEncoding.EncodeToString(k.Public)})
	}
	text, err := json.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
