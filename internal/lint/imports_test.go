// SPDX-License-Identifier: Apache-2.0

// Package lint is the tree's own rules, as tests: who may import whom, and what
// every file must say and must not say.
//
// The folders show the trust, and these tests keep it so. They read the source
// only, and trust the go command to list it; they say nothing of what the code does.
package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/coffer-backup/coffer"
	any    = "*"
)

// A rule binds the packages in and below one folder, except where a folder below has
// a rule of its own; "." is the root package alone. A path in a list stands for
// itself and everything below it.
type rule struct {
	folder  string
	against string // who is kept out, or what the folder could not promise otherwise

	ours   []string // folders of this module that may be imported
	others []string // modules of others that may be imported
	deny   []string // imports refused all the same, the standard library's included

	denyDeps []string // refused at any depth: who imports the folder inherits them
}

var rules = []rule{{
	folder: ".",
	against: "the app that embeds us links what we link: no SQLite beside its own (whose locks a " +
		"second copy would drop), nothing of our command line",
	ours:   []string{"archive", "blob", "internal/durable", "internal/password", "recovery", "wire"},
	others: []string{"golang.org/x/sys", "golang.org/x/text"},
	denyDeps: []string{
		"modernc.org", "github.com/alecthomas/kong", "github.com/zalando/go-keyring", "github.com/vbauerster/mpb",
		"golang.org/x/term", "rsc.io/qr", "testing", module + "/internal/chatgen",
		"github.com/minio", "google.golang.org/api", "golang.org/x/oauth2",
	},
}, {
	folder:  "archive",
	against: "whoever holds the destination wrote every byte that is parsed here, and a dependency would see K",
	ours:    []string{"archive", "blob"},
	others: []string{
		"github.com/klauspost/compress/zstd", "github.com/zeebo/blake3",
		"golang.org/x/sync", "golang.org/x/sys", "golang.org/x/text",
	},
	deny: []string{"net", "database/sql", "os/exec", "plugin"},
}, {
	folder:  "archive/source",
	against: "the chat app, whose files change while they are read; it has no key, and no byte of an archive comes here",
	ours:    []string{"archive/source"},
	others:  []string{"github.com/bmatcuk/doublestar/v4", "golang.org/x/sys", "golang.org/x/text"},
	deny:    []string{"crypto", "net", "database/sql", "os/exec", "plugin"},
}, {
	folder:  "archive/format",
	against: "whoever holds the destination; what is read depends on the bytes alone, so that fuzzing and vectors reach all of it",
	ours:    []string{"archive/format"},
	others:  []string{"github.com/klauspost/compress/zstd", "github.com/zeebo/blake3", "golang.org/x/text"},
	deny:    []string{"os", "io/fs", "io/ioutil", "net", "path/filepath", "syscall"},
}, {
	folder:  "blob",
	against: "the provider: a driver moves sealed bytes, and can leak no key that it cannot name",
	ours:    []string{"blob"},
	others:  []string{any},
}, {
	folder:  "destination",
	against: "whoever reads over the user's shoulder: credentials pass here, and no key",
	ours:    []string{".", "blob", "internal/durable"},
	deny:    []string{"log"},
}, {
	folder:  "blob/s3",
	against: "the S3 server, and whoever answers in its place; the bucket's keys are here",
	ours:    []string{"blob"},
	others:  []string{"github.com/minio/minio-go/v7"},
	deny:    []string{"os", "log", "log/slog"},
}, {
	folder:  "blob/s3/s3test",
	against: "nobody: it runs a server beside a test",
	others:  []string{"github.com/minio/minio-go/v7"},
}, {
	folder:  "blob/helper",
	against: "the process at the other end, on either side: bytes of a pipe, nothing secret, and no network of our own",
	ours:    []string{"blob"},
	others:  []string{"golang.org/x/crypto/cryptobyte", "golang.org/x/sync"},
	deny:    []string{"crypto", "net"},
}, {
	folder:  "blob/gdrive",
	against: "Google, who can answer anything; and whoever would have the user's token, which goes to two addresses and into no process",
	ours:    []string{"blob"},
	others:  []string{"google.golang.org/api", "golang.org/x/oauth2"},
	deny:    []string{"os", "os/exec", "testing"},
}, {
	folder:  "blob/gdrive/fakedrive",
	against: "code that is tested with it: a fake that shared a line with the driver would share its mistakes",
	deny:    []string{"testing", "os/exec"},
}, {
	folder:  "sqlitecopy",
	against: "a hostile database runs in SQLite's code, in a process of its own that never held K",
	others:  []string{"modernc.org/sqlite", "golang.org/x/sys"},
	deny:    []string{"crypto", "net/http"},
}, {
	folder:  "internal/keystore",
	against: "whoever else uses the device: it holds this device's copy of K",
	ours:    []string{".", "internal/durable"},
	others:  []string{"github.com/zalando/go-keyring"},
	deny:    []string{"net", "os/exec"},
}, {
	folder:  "internal/durable",
	against: "a loss of power; what it writes may be secret, so it shows it to nobody",
	deny:    []string{"net", "os/exec", "log"},
}, {
	folder:  "internal/schedule",
	against: "the names of folders, which end up in texts that a system's scheduler runs; what it says depends on its arguments alone",
	ours:    []string{"internal/durable"},
	deny:    []string{"net", "os/exec", "text/template"},
}, {
	folder:  "internal/schedule/install",
	against: "a system that may have another scheduler, or none; it holds no key and speaks to no network",
	ours:    []string{"internal/durable", "internal/schedule"},
	deny:    []string{"net"},
}, {
	folder:  "internal/schedule/condition",
	against: "a kernel and services that may say nothing or nonsense; it only reads",
	others:  []string{"github.com/godbus/dbus/v5"},
	deny:    []string{"net", "os/exec"},
}, {
	folder:  "internal/kit",
	against: "whoever made the page's texts, such as a destination's name; it writes K on a page that must reach nobody else",
	others:  []string{"rsc.io/qr"},
	deny:    []string{"net", "os", "text/template"},
}, {
	folder:  "internal/chatgen",
	against: "made-up data has no secrets; what it makes must not be judged by the code that backs it up",
	ours:    []string{"internal/chatgen"},
	others:  []string{"modernc.org/sqlite"},
}, {
	folder:  "wire",
	against: "the network: every byte that is parsed here may be an attacker's",
	others:  []string{"golang.org/x/crypto/cryptobyte"},
	deny:    []string{"os", "io/fs", "net", "time", "math/rand", "math/rand/v2"},
}, {
	folder:  "recovery",
	against: "the vault's whole edge, which may lie: what counts is sealed by the pinned core; the password is here",
	ours:    []string{"wire", "internal/opaque", "internal/password"},
	others:  []string{"connectrpc.com/connect", "golang.org/x/crypto", "google.golang.org/protobuf"},
	deny:    []string{"os", "os/exec", "database/sql", "plugin"},
}, {
	folder:  "seal",
	against: "the host, which stores what is sealed here and may alter and replay it; a driver knows nothing of the vault",
	ours:    []string{"seal"},
	others:  []string{"golang.org/x/sys"},
	deny:    []string{"net", "os/exec"},
}, {
	folder:  "seal/tpm2",
	against: "who listens on the way to the TPM, and who put an older folder back; it speaks to a device or a Unix socket, to no network",
	ours:    []string{"seal"},
	others:  []string{"github.com/google/go-tpm/tpm2"},
	deny:    []string{"net/http", "os/exec"},
}, {
	folder:  "seal/pkcs11",
	against: "who has the disk and not the token; the token's own library, which runs beside us, is the operator's choice",
	ours:    []string{"seal"},
	others:  []string{"github.com/miekg/pkcs11"},
	deny:    []string{"net", "os/exec"},
}, {
	folder:  "seal/sealtest/emulated",
	against: "nobody: it starts devices in software, for tests of any package, and so knows nothing of ours",
	deny:    []string{"net/http"},
}, {
	folder:  "vault",
	against: "the host's process, which must not hold what the core's does",
	ours:    []string{"internal/core/runner", "internal/core/stream", "internal/link", "internal/replica", "seal", "wire"},
	others:  []string{"golang.org/x/sync"},
	deny:    []string{"net/http"},
}, {
	folder:  "internal/core",
	against: "the host and every client: all secrets are here, so nothing is that could leak them or make two runs differ",
	ours:    []string{"wire", "internal/opaque", "internal/token", "internal/core/ledger"},
	others:  []string{"go.etcd.io/raft/v3", "golang.org/x/crypto/cryptobyte", "google.golang.org/protobuf/proto"},
	deny:    []string{"os", "io", "net", "time", "sync", "context", "log", "math/rand", "math/rand/v2", "crypto/rand"},
}, {
	folder:  "internal/core/ledger",
	against: "whoever orders operations: the rules of an account, pure",
	ours:    []string{"wire"},
	others:  []string{"golang.org/x/crypto/cryptobyte"},
	deny:    []string{"os", "net", "time", "sync", "context", "math/rand", "math/rand/v2", "crypto/rand"},
}, {
	folder:  "internal/core/stream",
	against: "each end distrusts the other; nothing here is secret",
	deny:    []string{"crypto", "net", "os"},
}, {
	folder:  "internal/core/runner",
	against: "the host: entropy, clock, sealer and workers are the core's own",
	ours:    []string{"internal/core", "internal/core/stream", "seal", "wire"},
	others:  []string{"golang.org/x/sync"},
	deny:    []string{"net", "os", "math/rand", "math/rand/v2"},
}, {
	folder:  "internal/replica",
	against: "nobody trusts it: it moves sealed bytes and can name no key",
	ours:    []string{"internal/core/stream"},
	others:  []string{"github.com/cockroachdb/pebble/v2", "golang.org/x/sync"},
	deny:    []string{"crypto"},
}, {
	folder:  "internal/settings",
	against: "a mistyped file: it reads what operators write, and nothing secret",
	ours:    []string{"wire", "internal/token"},
	others:  []string{"github.com/pelletier/go-toml/v2"},
	deny:    []string{"net/http", "os/exec"},
}, {
	folder:  "internal/operator",
	against: "whoever else uses the machine; an operator can name no account",
	ours:    []string{"vault"},
	deny:    []string{"os/exec"},
}, {
	folder:  "internal/link",
	against: "whoever connects; it carries sealed bytes, between hosts that nobody trusts",
	ours:    []string{"wire"},
	others:  []string{"golang.org/x/sync"},
	deny:    []string{"os/exec", "net/http"},
}, {
	folder:  "internal/sim",
	against: "nobody, and everybody in turn: it plays the hosts, the network, the clients and the thief around the real core, in tests alone",
	ours:    []string{"internal/core", "internal/opaque", "wire"},
	others:  []string{"github.com/anishathalye/porcupine"},
	deny:    []string{"os", "net", "sync", "crypto/rand"},
}, {
	folder:  "internal/opaque",
	against: "whoever makes the messages: OPAQUE alone, every random byte an argument",
	others:  []string{"github.com/bytemare", "golang.org/x/crypto"},
	deny:    []string{"os", "net", "time", "crypto/rand", "math/rand", "math/rand/v2"},
}, {
	folder:  "internal/password",
	against: "whoever guesses: it sees the password, and nothing else",
	others:  []string{"golang.org/x/text", "github.com/trustelem/zxcvbn"},
	deny:    []string{"os", "net", "log"},
}, {
	folder:  "internal/token",
	against: "whoever forges: no clock, no network, so that every replica judges alike",
	deny:    []string{"os", "net/http", "time", "math/rand", "math/rand/v2"},
}, {
	folder:  "internal/issuer",
	against: "nobody: it lets everyone in, for development",
	ours:    []string{"internal/token"},
}, {
	folder:  "internal/gateway",
	against: "the whole internet; it is trusted with no secret, so it can name nothing that has one",
	ours:    []string{"wire", "internal/token"},
	others: []string{
		"connectrpc.com/connect", "github.com/prometheus/client_golang", "golang.org/x/time", "google.golang.org/protobuf",
	},
	deny: []string{"os", "os/exec"},
}, {
	folder:  "internal/proc",
	against: "nothing: it reads figures of processes, for measurements",
}, {
	folder:  "internal/toxiproxy",
	against: "nobody: it runs a proxy beside a benchmark",
}, {
	folder:  "internal/vectortest",
	against: "what it compares: it sees texts, and no code that they test",
}, {
	folder:  "model",
	against: "the code that it models: it shares no line with it, so that a mistake there is not made here again",
}, {
	folder:  "bench",
	against: "measures coffer as its users run it, from outside",
	ours:    []string{"internal/chatgen"},
}, {
	folder:  "bench/destinations",
	against: "nobody: it measures what an archive asks of a cloud, through the library",
	ours:    []string{"archive", "blob", "sqlitecopy", "internal/chatgen", "internal/toxiproxy"},
}, {
	folder:  "bench/fleet",
	against: "measures a fleet as its operators run it, from outside",
	ours:    []string{"internal/proc", "internal/operator", "internal/toxiproxy"},
	others:  []string{"golang.org/x/sync"},
}, {
	folder:  "cmd",
	against: "nobody: the user's own machine, where everything comes together",
	ours:    []string{any},
	others:  []string{any},
}, {
	folder:  "internal/lint",
	against: "nobody: reads source",
}}

// elsewhere is what no package of this module may depend on, at any depth: it is linked by a module of its own, whose process
// never holds K.
var elsewhere = []string{"github.com/rclone"}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

// folder is "." for the root package.
func (p pkg) folder() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func TestImports(t *testing.T) {
	seen := make(map[string]bool)
	for _, system := range []struct{ goos, cgo string }{{"linux", "0"}, {"linux", "1"}, {"darwin", "0"}, {"windows", "0"}} {
		for _, p := range list(t, system.goos, system.cgo) {
			seen[p.folder()] = true
			for _, path := range p.Deps {
				if match(path, elsewhere) {
					t.Errorf("%s (%s): must not depend on %s, which is for another process", p.ImportPath, system.goos, path)
				}
			}
			r := ruleFor(p)
			if r == nil {
				t.Errorf("%s: no rule says what it may import; add one to the table", p.ImportPath)
				continue
			}
			for _, refused := range r.refuses(p) {
				t.Errorf("%s (%s): %s\n\tagainst: %s", p.ImportPath, system.goos, refused, r.against)
			}
		}
	}
	for _, core := range []string{"archive", "archive/format", "blob", "internal/core", "internal/gateway", "wire"} {
		if !seen[core] {
			t.Errorf("%s/%s: not found, so its rule was not checked", module, core)
		}
	}
}

// A rule that refuses nothing would keep the test above green for ever.
func TestRulesRefuse(t *testing.T) {
	for _, r := range rules {
		offences := map[string]pkg{
			"ours":     {Imports: []string{module + "/bench/stranger"}},
			"others":   {Imports: []string{"example.org/stranger"}},
			"deny":     {Imports: slices.Clone(r.deny)},
			"denyDeps": {Deps: slices.Clone(r.denyDeps)},
		}
		for field, allowed := range map[string][]string{"ours": r.ours, "others": r.others} {
			if slices.Contains(allowed, any) {
				delete(offences, field)
			}
		}
		for field, p := range offences {
			p.ImportPath = strings.TrimSuffix(module+"/"+r.folder, "/.")
			if want, got := len(p.Imports)+len(p.Deps), ruleFor(p).refuses(p); len(got) != want {
				t.Errorf("%s, %s: refuses %d of %d: %q", r.folder, field, len(got), want, got)
			}
		}
	}
}

// ruleFor returns the rule of the nearest folder, or nil.
func ruleFor(p pkg) (nearest *rule) {
	for i, r := range rules {
		if r.folder == p.folder() || r.folder != "." && under(p.folder(), r.folder) {
			if nearest == nil || len(r.folder) > len(nearest.folder) {
				nearest = &rules[i]
			}
		}
	}
	return nearest
}

func (r *rule) refuses(p pkg) (refused []string) {
	for _, path := range p.Imports {
		switch {
		case match(path, r.deny):
			refused = append(refused, "must not import "+path)
		case under(path, module):
			if f := (pkg{ImportPath: path}).folder(); !match(f, r.ours) {
				refused = append(refused, "must not import our "+f)
			}
		case !standard(path) && !match(path, r.others):
			refused = append(refused, "must not import "+path)
		}
	}
	for _, path := range p.Deps {
		if match(path, r.denyDeps) {
			refused = append(refused, "must not depend on "+path)
		}
	}
	return refused
}

func match(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return p == any || under(path, p) })
}

func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// standard relies on what the go command requires: a module's path begins with a
// host's name.
func standard(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return !strings.Contains(host, ".")
}

// list returns the module's packages as they would be built, without their tests.
func list(t *testing.T, goos, cgo string) (pkgs []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED="+cgo)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("go list for %s: %v", goos, err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
