// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

// nodes is a fleet that a test makes with the commands that an operator has: a process for each node and one for the gateway.
type nodes struct {
	t       *testing.T
	dir     string
	issuer  *issuer.Issuer
	fleet   string // the section [fleet] of the first node's file
	gate    string // the gateway's fingerprint
	running map[vault.Slot]*process
	gateway *process
	url     string

	adapt func(slot vault.Slot, file string) // changes a node's file; nil: not
	use   func(slot vault.Slot) preparation  // of its processes; nil: nothing
}

// preparation changes a process before it is started.
type preparation = func(*exec.Cmd)

func nothing(*exec.Cmd) {}

func (f *nodes) preparation(slot vault.Slot) preparation {
	if f.use == nil {
		return nothing
	}
	return f.use(slot)
}

func newNodes(t *testing.T, fleet string) *nodes {
	t.Helper()
	dir := t.TempDir()
	f := &nodes{t: t, dir: dir, fleet: fleet, running: map[vault.Slot]*process{}}
	f.issuer = must(issuer.Open(filepath.Join(dir, "issuer"), issuerName))(t)
	if err := writeKeySet(filepath.Join(dir, keySetName), f.issuer.Keys()); err != nil {
		t.Fatal(err)
	}
	f.gate = must(openGate(filepath.Join(dir, "gateway")))(t).fingerprint().String()
	return f
}

func (f *nodes) file(slot vault.Slot) string {
	return filepath.Join(f.dir, fmt.Sprint("node-", slot), "node.toml")
}

// prepare makes an empty folder and the file of a node.
func (f *nodes) prepare(slot vault.Slot) {
	f.t.Helper()
	text := fmt.Sprintf("listen = \"127.0.0.1:0\"\ngateways = [%q]\n", f.gate)
	if slot == 1 {
		text += fmt.Sprintf("[fleet]\nissuer = %q\ncore_audience = %q\ngateway_audience = %q\ntoken_keys = %q\ncooldown = \"0s\"\n%s\n",
			issuerName, coreAudience, gatewayAudience, "../"+keySetName, f.fleet)
	}
	dir := filepath.Dir(f.file(slot))
	if err := os.RemoveAll(dir); err != nil {
		f.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(f.file(slot), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if f.adapt != nil {
		f.adapt(slot, f.file(slot))
	}
}

// do runs a command of a node, which must succeed, and returns what it printed.
func (f *nodes) do(slot vault.Slot, command string, args ...string) string {
	f.t.Helper()
	p := startAs(f.t, f.preparation(slot), append([]string{"vault", command, "--config", f.file(slot)}, args...)...)
	if code := p.code(f.t); code != codeOK {
		f.t.Fatalf("vault %s at node %d: exit code %d: %s", command, slot, code, p.said(p.err))
	}
	return p.said(p.out)
}

func (f *nodes) create() {
	f.t.Helper()
	f.prepare(1)
	f.do(1, "create")
	f.start(1)
	f.awaitVote(1)
}

// join makes a new node for a slot, whether or not it had one, and returns the file of the ticket.
func (f *nodes) join(slot vault.Slot) (ticket string) {
	f.t.Helper()
	f.prepare(slot)
	ticket = filepath.Join(f.t.TempDir(), "ticket")
	if err := os.WriteFile(ticket, []byte(f.atLeader(0, "ticket", "--slot", fmt.Sprint(slot), "--yes")), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.do(slot, "join", "--ticket", ticket)
	f.start(slot)
	f.awaitVote(slot)
	return ticket
}

// atLeader runs a command at the node that leads a partition; leadership may move meanwhile.
func (f *nodes) atLeader(partition int, command string, args ...string) (out string) {
	f.t.Helper()
	until(f.t, "the leader did "+command, func() bool {
		slot := f.leader(partition)
		code, printed, said := cofferd(f.t, append([]string{"vault", command, "--config", f.file(slot)}, args...)...)
		if code != codeOK && !strings.Contains(said, "refuses") && code != codeNotRunning {
			f.t.Fatalf("vault %s at node %d: exit code %d: %s", command, slot, code, said)
		}
		out = printed
		return code == codeOK
	})
	return out
}

func (f *nodes) start(slot vault.Slot) {
	f.running[slot] = startAs(f.t, f.preparation(slot), "vault", "run", "--config", f.file(slot))
}

// status asks a node, if it answers.
func (f *nodes) status(slot vault.Slot) (s operator.Status, ok bool) {
	code, out, _ := cofferd(f.t, "vault", "status", "--json", "--config", f.file(slot))
	return s, code == codeOK && json.Unmarshal([]byte(out), &s) == nil
}

func (f *nodes) awaitVote(slot vault.Slot) {
	f.t.Helper()
	f.await(slot, "it votes", votes)
}

func (f *nodes) await(slot vault.Slot, what string, is func(*operator.Status) bool) {
	f.t.Helper()
	until(f.t, fmt.Sprintf("node %d: %s", slot, what), func() bool {
		select {
		case <-f.running[slot].ended:
			f.t.Fatalf("node %d ended: %s", slot, f.running[slot].said(f.running[slot].err))
		default:
		}
		s, ok := f.status(slot)
		return ok && is(&s)
	})
}

// leader waits until some node says of itself that it leads a partition.
func (f *nodes) leader(partition int) (slot vault.Slot) {
	f.t.Helper()
	until(f.t, "there is a leader", func() bool {
		for n := range f.running {
			if s, ok := f.status(n); ok && len(s.Partitions) > partition && s.Partitions[partition].Role == vault.RoleLeader {
				slot = n
				return true
			}
		}
		return false
	})
	return slot
}

// members waits until every running node sees just these voters in every partition.
func (f *nodes) members(want ...vault.Slot) {
	f.t.Helper()
	for slot := range f.running {
		f.await(slot, fmt.Sprint("it sees the voters ", want), func(s *operator.Status) bool {
			return !slices.ContainsFunc(s.Partitions, func(p vault.Partition) bool {
				got := slices.Clone(p.Voters)
				slices.Sort(got)
				return !slices.Equal(got, want) || len(p.Learners) > 0
			})
		})
	}
}

// openGateway starts the gateway, which finds the nodes that run now.
func (f *nodes) openGateway() {
	f.t.Helper()
	dir := filepath.Join(f.dir, "gateway")
	text := "listen = \"127.0.0.1:0\"\ninsecure_http = true\nper_account = -1\nper_address = -1\n"
	for slot := range f.running {
		s, ok := f.status(slot)
		if !ok {
			f.t.Fatalf("node %d does not answer", slot)
		}
		text += fmt.Sprintf("[[nodes]]\naddress = %q\nfingerprint = %q\n", s.Address, s.Certificate)
	}
	file, ready := filepath.Join(dir, "gateway.toml"), filepath.Join(dir, "ready")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	must(settings.ReadGateway(file))(f.t)
	f.gateway = start(f.t, "gateway", "--config", file, "--ready-file", ready, "--quiet")
	until(f.t, "the gateway listens", func() bool { return exists(ready) })
	f.url = strings.TrimSpace(string(must(os.ReadFile(ready))(f.t)))
	until(f.t, "the gateway is ready", func() bool { return get(f.t, f.url+"/readyz") == 200 })
}

// client is a device of an account.
func (f *nodes) client(account string) *recovery.Client {
	f.t.Helper()
	tokens := issued{f.issuer, account}
	transport := must(recovery.NewHTTP(recovery.HTTPConfig{URL: f.url, Tokens: tokens, Audience: gatewayAudience}))(f.t)
	fleet := must(wire.ParseDescriptor(must(transport.Descriptor(f.t.Context()))(f.t)))(f.t)
	return must(recovery.New(recovery.Config{
		Descriptor: fleet, Account: wire.NewAccountID(issuerName, account), Transport: transport, Tokens: tokens,
	}))(f.t)
}
