// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// Where a core runs.
const (
	CoreProcess   = "process"
	CoreInProcess = "inprocess"
)

// DefaultCore keeps the core in a process of its own where the system can.
func DefaultCore() string {
	if runtime.GOOS == "windows" {
		return CoreInProcess
	}
	return CoreProcess
}

// shortestEpoch is what a disk can keep up with.
const shortestEpoch = time.Second

// What may seal a core's state.
const (
	SealSoftware = "software"
	SealTPM2     = "tpm2"
	SealPKCS11   = "pkcs11"
)

// Node is the file of one node.
type Node struct {
	Dir       string        `toml:"dir"`
	Listen    string        `toml:"listen"`
	Advertise string        `toml:"advertise"` // empty: Listen
	Admin     string        `toml:"admin"`     // empty: nowhere
	Gateways  []Fingerprint `toml:"gateways"`
	Core      string        `toml:"core"`
	Seal      string        `toml:"seal"`
	Epoch     Duration      `toml:"epoch"` // 0: as fits the sealer
	TPM2      TPM2          `toml:"tpm2"`
	PKCS11    PKCS11        `toml:"pkcs11"`
	Fleet     Fleet         `toml:"fleet"`
}

// TPM2 says which TPM seals, and how.
type TPM2 struct {
	Device        string `toml:"device"` // empty: the system's
	PCRs          []uint `toml:"pcrs"`
	AuthFile      string `toml:"auth_file"`       // empty: none
	OwnerAuthFile string `toml:"owner_auth_file"` // empty: none
}

// PKCS11 says which token seals.
type PKCS11 struct {
	Module  string `toml:"module"`   // a file
	Token   string `toml:"token"`    // its label
	Serial  string `toml:"serial"`   // empty: the label is enough
	PINFile string `toml:"pin_file"` // empty: asked for at the terminal
}

// Fleet is what a new fleet is made with, and nothing else looks at.
type Fleet struct {
	Restart         string   `toml:"restart"`
	Partitions      uint16   `toml:"partitions"`
	Budget          uint8    `toml:"budget"`
	Cooldown        Duration `toml:"cooldown"`
	Grace           Duration `toml:"grace"`
	Provable        Duration `toml:"provable"`
	Issuer          string   `toml:"issuer"`
	CoreAudience    string   `toml:"core_audience"`
	GatewayAudience string   `toml:"gateway_audience"`
	TokenKeys       string   `toml:"token_keys"` // a file
}

func defaultNode() *Node {
	p := wire.DefaultPolicy()
	return &Node{
		Dir: ".", Listen: ":7434", Core: DefaultCore(), Seal: SealSoftware,
		Fleet: Fleet{
			Restart: p.Restart.String(), Partitions: p.Partitions, Budget: p.Budget,
			Cooldown: milliseconds(p.CooldownMs), Grace: milliseconds(p.GraceMs), Provable: milliseconds(p.ProvableMs),
		},
	}
}

// RotateMs is the length of an epoch, 0 for what fits the sealer.
func (n *Node) RotateMs() uint64 { return n.Epoch.milliseconds() }

// ReadNode reads a node's file.
func ReadNode(path string) (*Node, error) {
	n := defaultNode()
	base, err := read(path, n)
	if err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range []*string{&n.Dir, &n.Fleet.TokenKeys, &n.TPM2.AuthFile, &n.TPM2.OwnerAuthFile, &n.PKCS11.Module, &n.PKCS11.PINFile} {
		*p = under(base, *p)
	}
	return n, nil
}

func (n *Node) check() error {
	if n.Dir == "" {
		return invalid("dir is empty")
	}
	if err := checkAddress("listen", n.Listen); err != nil {
		return err
	}
	if n.Advertise != "" {
		if err := checkAddress("advertise", n.Advertise); err != nil {
			return err
		}
	}
	if n.Admin != "" {
		if err := checkLoopback("admin", n.Admin); err != nil {
			return err
		}
	}
	if n.Core != CoreProcess && n.Core != CoreInProcess {
		return invalid("core: %q is neither %q nor %q", n.Core, CoreProcess, CoreInProcess)
	}
	if n.Epoch.Duration != 0 && n.Epoch.Duration < shortestEpoch {
		return invalid("epoch: %v is too short; %v is the least", n.Epoch, shortestEpoch)
	}
	if err := n.checkSeal(); err != nil {
		return err
	}
	return n.Fleet.check()
}

func (n *Node) checkSeal() error {
	if n.Seal != SealSoftware && n.Seal != SealTPM2 && n.Seal != SealPKCS11 {
		return invalid("seal: %q is none of %q, %q and %q", n.Seal, SealSoftware, SealTPM2, SealPKCS11)
	}
	if t := n.TPM2; n.Seal != SealTPM2 && (t.Device != "" || len(t.PCRs) > 0 || t.AuthFile != "" || t.OwnerAuthFile != "") {
		return invalid("tpm2: these settings are for seal = %q", SealTPM2)
	}
	if n.Seal != SealPKCS11 && n.PKCS11 != (PKCS11{}) {
		return invalid("pkcs11: these settings are for seal = %q", SealPKCS11)
	}
	if n.Seal == SealPKCS11 && (n.PKCS11.Module == "" || n.PKCS11.Token == "") {
		return invalid("pkcs11: module and token say which library and which token")
	}
	return nil
}

// ParseRestart reads the name of a restart policy.
func ParseRestart(name string) (wire.Restart, error) {
	for _, r := range []wire.Restart{wire.RestartMajority, wire.RestartCounter, wire.RestartTrustDisk} {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, invalid("%q is none of the restart policies majority, counter and trust-disk", name)
}

func (f *Fleet) check() error {
	_, err := ParseRestart(f.Restart)
	return err
}

// Policy reads the issuer's keys and returns the policy of a new fleet.
func (f *Fleet) Policy() (*wire.Policy, error) {
	if f.TokenKeys == "" {
		return nil, invalid("fleet.token_keys names the file with the keys of the token issuer; a new fleet needs it")
	}
	set, err := os.ReadFile(f.TokenKeys)
	if err != nil {
		return nil, err
	}
	keys, err := token.ParseKeySet(set)
	if err != nil {
		return nil, invalid("%s: %v", f.TokenKeys, err)
	}
	p := wire.DefaultPolicy()
	if p.Restart, err = ParseRestart(f.Restart); err != nil {
		return nil, err
	}
	p.Partitions, p.Budget = f.Partitions, f.Budget
	p.CooldownMs, p.GraceMs, p.ProvableMs = f.Cooldown.milliseconds(), f.Grace.milliseconds(), f.Provable.milliseconds()
	p.Issuer, p.CoreAudience, p.GatewayAudience = f.Issuer, f.CoreAudience, f.GatewayAudience
	p.TokenKeys = PolicyKeys(keys)
	if err := p.Check(); err != nil {
		return nil, invalid("%v", err)
	}
	return &p, nil
}

var algorithms = map[string]wire.Algorithm{token.EdDSA: wire.EdDSA, token.ES256: wire.ES256}

// PolicyKeys are an issuer's keys as a policy has them.
func PolicyKeys(keys []token.Key) (list []wire.TokenKey) {
	for _, k := range keys {
		list = append(list, wire.TokenKey{ID: k.ID, Algorithm: algorithms[k.Algorithm], Public: k.Public})
	}
	return list
}

// IssuerKeys are a policy's keys as a verifier takes them.
func IssuerKeys(keys []wire.TokenKey) (list []token.Key) {
	for _, k := range keys {
		list = append(list, token.Key{ID: k.ID, Algorithm: k.Algorithm.String(), Public: k.Public})
	}
	return list
}
