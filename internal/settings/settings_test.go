// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// keySet is a JSON Web Key Set of one key, RFC 8037's.
const keySet = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNodeExample: the example is the defaults, and mentions everything.
func TestNodeExample(t *testing.T) {
	dir := t.TempDir()
	example, err := ReadNode(write(t, dir, "example.toml", NodeExample))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := ReadNode(write(t, dir, "empty.toml", ""))
	if err != nil {
		t.Fatal(err)
	}
	if example.Gateways, example.TPM2.PCRs = nil, nil; !reflect.DeepEqual(example, empty) {
		t.Errorf("the example is\n%+v, the defaults are\n%+v", example, empty)
	}
	if empty.Dir != dir || empty.Fleet.TokenKeys != "" {
		t.Errorf("paths: %+v", empty)
	}
	mentions(t, NodeExample, reflect.TypeFor[Node]())
}

func TestGatewayExample(t *testing.T) {
	mentions(t, GatewayExample, reflect.TypeFor[Gateway]())
	text := strings.NewReplacer(
		"insecure_http = false", "insecure_http = true", `":443"`, `"127.0.0.1:80"`,
		"# [[nodes]]", "[[nodes]]", "# address", "address", "# fingerprint", "fingerprint", "64 hexadecimal digits", strings.Repeat("0a", 32),
	).Replace(GatewayExample)
	g, err := ReadGateway(write(t, t.TempDir(), "gateway.toml", text))
	if err != nil || len(g.Nodes) != 1 || g.Nodes[0].Fingerprint.String() != strings.Repeat("0a", 32) {
		t.Errorf("%+v, %v", g, err)
	}
}

// TestDocumented: docs/CONFIG.md has every setting.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "CONFIG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Node](), reflect.TypeFor[Gateway]()} {
		for _, name := range names(of) {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("%s of %s is not in docs/CONFIG.md", name, of)
			}
		}
	}
}

func mentions(t *testing.T, text string, of reflect.Type) {
	t.Helper()
	for _, name := range names(of) {
		if !regexp.MustCompile(`(?m)^(# )?(\[+)?` + name + `\b`).MatchString(text) {
			t.Errorf("the example does not mention %s", name)
		}
	}
}

func names(of reflect.Type) (list []string) {
	for f := range of.Fields() {
		list = append(list, f.Tag.Get("toml"))
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[Duration]() {
			list = append(list, names(inner)...)
		}
	}
	return list
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"lisen = ':1'":                                   "line 1: there is no setting lisen",
		"dir = '.'\n\n[fleet]\nbudgets = 3":              "line 4: there is no setting fleet.budgets",
		"dir = '.'\nlisten = 7":                          "line 2",
		"dir = ":                                         "line 1",
		"dir = ''":                                       "dir is empty",
		"listen = 'nowhere'":                             "listen",
		"listen = '127.0.0.1:'":                          "the port is missing",
		"advertise = ':7434'":                            "others cannot reach",
		"advertise = 'node:0'":                           "others cannot reach",
		"admin = '0.0.0.0:9433'":                         "not a loopback address",
		"core = 'elsewhere'":                             "core",
		"epoch = '1ms'":                                  "too short",
		"seal = 'enclave'":                               "is none of",
		"seal = 'pkcs11'":                                "module and token",
		"[pkcs11]\ntoken = 'node'":                       "are for seal",
		"[tpm2]\npcrs = [7]":                             "are for seal",
		"gateways = ['abcd']":                            "64 hexadecimal digits",
		"[fleet]\nrestart = 'none'":                      "none of the restart policies",
		"[fleet]\ncooldown = '-1s'":                      "cannot be negative",
		"[fleet]\ncooldown = 60":                         "is no time like",
		"[fleet]\nbudget = 300":                          "line 2",
		"gateways = ['" + strings.Repeat("x", 64) + "']": "line 1",
	} {
		_, err := ReadNode(write(t, t.TempDir(), "node.toml", text))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadNode(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadNode(write(t, t.TempDir(), "node.toml", strings.Repeat("#", maxFile+1))); !errors.Is(err, ErrInvalid) {
		t.Errorf("a huge file: %v", err)
	}
}

func TestGatewayRefused(t *testing.T) {
	const node = "\n[[nodes]]\naddress='n:1'\nfingerprint='" + "0000000000000000000000000000000000000000000000000000000000000001'"
	for text, want := range map[string]string{
		"listen = '127.0.0.1:80'" + node:                                        "certificate and key",
		"insecure_http = true" + node:                                           "not a loopback address",
		"insecure_http = true\nlisten='127.0.0.1:80'\nkey='k'" + node:           "exclude each other",
		"insecure_http = true\nlisten='127.0.0.1:80'":                           "nodes",
		"insecure_http = true\nlisten='127.0.0.1:80'\nissuer_url = 'x'" + node:  "issuer_url",
		"insecure_http = true\nlisten='127.0.0.1:80'\n[[nodes]]\naddress='n:1'": "has no fingerprint",
		"insecure_http = true\nlisten='127.0.0.1:80'\n[[nodes]]\nadress='n:1'":  "line 4: there is no setting nodes.adress",
		"insecure_http = true\nlisten='127.0.0.1:80'\nper_address = 0" + node:   "per_address must be",
		"certificate = 'c'\nkey = 'k'\nadmin = 'example.org:80'" + node:         "not a loopback address",
	} {
		_, err := ReadGateway(write(t, t.TempDir(), "gateway.toml", text))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "keys.json", keySet)
	n, err := ReadNode(write(t, dir, "node.toml", `
[fleet]
restart = "trust-disk"
partitions = 4
budget = 5
cooldown = "0s"
grace = "24h"
provable = "1s"
issuer = "https://issuer.example"
core_audience = "core"
gateway_audience = "gateway"
token_keys = "keys.json"
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.Fleet.Policy()
	if err != nil {
		t.Fatal(err)
	}
	if p.Restart != wire.RestartTrustDisk || p.Partitions != 4 || p.Budget != 5 || p.CooldownMs != 0 ||
		p.GraceMs != uint64((24*time.Hour).Milliseconds()) || p.ProvableMs != 1000 || p.TokenKeys[0].ID != "one" || p.GatewayAudience != "gateway" {
		t.Errorf("%+v", p)
	}
	for _, spoil := range []func(*Fleet){
		func(f *Fleet) { f.TokenKeys = "" }, func(f *Fleet) { f.CoreAudience = f.GatewayAudience }, func(f *Fleet) { f.Partitions = 300 },
		func(f *Fleet) { f.TokenKeys = write(t, dir, "bad.json", "{}") }, func(f *Fleet) { f.Issuer = "" },
	} {
		fleet := n.Fleet
		spoil(&fleet)
		if _, err := fleet.Policy(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", fleet, err)
		}
	}
}
