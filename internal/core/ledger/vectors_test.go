// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/vectortest"
	"github.com/coffer-backup/coffer/wire"
)

// Other vectors in the folder have another prefix, and another package reads them.
const (
	vectorDir    = "../../../testvectors/vault"
	vectorPrefix = "ledger-"
)

// A vector is one operation on one account, with at most one fault. What comes of it is written down by hand in
// vectorset below, as docs/spec/vault.md has it, and not taken from Apply.
type vector struct {
	name, expect, comment, policy, now, value string
	before, op, after                         []byte
}

func (v *vector) format() []byte {
	var b bytes.Buffer
	for _, line := range [][2]string{
		{"expect", v.expect}, {"comment", v.comment}, {"kind", "ledger"}, {"policy", v.policy}, {"now", v.now}, {"value", v.value},
	} {
		fmt.Fprintf(&b, "%s: %s\n", line[0], line[1])
	}
	for _, part := range [][]byte{v.before, v.op, v.after} {
		b.WriteByte('\n')
		if len(part) == 0 {
			b.WriteString("-\n")
		}
		for line := range slices.Chunk(part, 48) {
			fmt.Fprintf(&b, "%x\n", line)
		}
	}
	return b.Bytes()
}

func parseVector(t *testing.T, name, text string) *vector {
	t.Helper()
	v := &vector{name: name}
	parts := strings.Split(text, "\n\n")
	if len(parts) != 4 {
		t.Fatalf("%s has %d parts, want 4", name, len(parts))
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(parts[0], "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || fields[key] != "" {
			t.Fatalf("%s: line %q", name, line)
		}
		fields[key] = value
	}
	v.expect, v.comment, v.policy, v.now, v.value = fields["expect"], fields["comment"], fields["policy"], fields["now"], fields["value"]
	for i, to := range []*[]byte{&v.before, &v.op, &v.after} {
		b, err := hex.DecodeString(strings.NewReplacer("\n", "", "-", "").Replace(parts[i+1]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		*to = b
	}
	return v
}

func loadVectors(t *testing.T) (all []*vector) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorDir, vectorPrefix+"*"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no vectors", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parseVector(t, filepath.Base(f), string(text)))
	}
	return all
}

func TestVectors(t *testing.T) {
	seen := map[uint8]map[string]bool{} // operation, what is expected
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			v.run(t)
			if seen[v.op[0]] == nil {
				seen[v.op[0]] = map[string]bool{}
			}
			seen[v.op[0]][v.expect] = true
		})
	}
	for kind := uint8(1); newOp(kind) != nil; kind++ {
		if _, expires := newOp(kind).(*Expire); len(seen[kind]) < 2 && !expires || len(seen[kind]) == 0 {
			t.Errorf("operation %d has no vector of success, or none of a fault", kind)
		}
	}
}

func (v *vector) run(t *testing.T) {
	p := wire.DefaultPolicy()
	if _, err := fmt.Sscanf(v.policy, "%d %d %d %d %d", &p.Budget, &p.CooldownMs, &p.GraceMs, &p.PendingMs, &p.ProvableMs); err != nil {
		t.Fatal(err)
	}
	now, err := strconv.ParseUint(v.now, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Decode(string(v.before))
	if err != nil {
		t.Fatal(err)
	}
	op, err := ParseOp(v.op)
	if err != nil {
		t.Fatal(err)
	}
	if again := AppendOp(a.Append(nil), op); !bytes.Equal(again, slices.Concat(v.before, v.op)) {
		t.Errorf("account and operation encode to other bytes")
	}
	before := a.clone()
	o := Apply(&p, wire.UnixMs(now), a, op)
	if err := CheckStep(&p, wire.UnixMs(now), before, a, op, o); err != nil {
		t.Error(err)
	}
	if expect, value := outcomeOf(o); expect != v.expect || value.String() != v.value {
		t.Errorf("%s:\n got %s %s\nwant %s %s", v.comment, expect, value, v.expect, v.value)
	}
	if after := a.Append(nil); !bytes.Equal(after, v.after) {
		t.Errorf("%s: the account becomes\n%x, want\n%x", v.comment, after, v.after)
	}
}

// result is all that an outcome may say, beside what kind of outcome it is.
type result struct {
	Registration    string   `json:",omitzero"`
	Serial          uint64   `json:",omitzero"`
	Element         string   `json:",omitzero"`
	Generation      uint8    `json:",omitzero"`
	OPRFKey         string   `json:",omitzero"`
	Record          string   `json:",omitzero"`
	KSF             []uint32 `json:",omitempty"`
	SealedKey       string   `json:",omitzero"`
	Freshness       []string `json:",omitempty"`
	GuessesLeft     uint8    `json:",omitzero"`
	LockedForMs     uint64   `json:",omitzero"`
	Repeated        bool     `json:",omitzero"`
	ConfirmWithinMs uint64   `json:",omitzero"`
	Replaced        uint8    `json:",omitzero"`
	RetainedMs      uint64   `json:",omitzero"`
	RetryAfterMs    uint64   `json:",omitzero"`
}

func (r result) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func outcomeOf(o Outcome) (string, result) {
	switch {
	case o.Refusal != nil:
		r := o.Refusal
		return fmt.Sprint("refused ", uint16(r.Code)), result{RetryAfterMs: r.RetryAfterMs, GuessesLeft: r.GuessesLeft, Serial: uint64(r.Serial)}
	case o.Registered != nil:
		return "registered", result{ConfirmWithinMs: o.Registered.ConfirmWithinMs}
	case o.Confirmed != nil:
		return "confirmed", result{Replaced: o.Confirmed.Replaced, RetainedMs: o.Confirmed.RetainedMs}
	case o.Charged != nil:
		return "charged", guessResult(o.Charged)
	case o.Proved != nil:
		p := o.Proved
		r := result{SealedKey: hexOf(p.SealedKey[:]), GuessesLeft: p.GuessesLeft}
		for _, f := range p.Freshness {
			r.Freshness = append(r.Freshness, hexOf(specFreshness(f)))
		}
		return "proved", r
	case o.Deleted != nil:
		return "deleted", result{RetainedMs: o.Deleted.RetainedMs}
	case o.FreshnessPut != nil:
		return "freshness put", result{}
	}
	return "nothing", result{}
}

func guessResult(c *Charged) result {
	id, element, key, record, ksf := c.Registration(), c.Element(), c.OPRFKey(), c.Record(), c.KSF()
	return result{
		Registration: hexOf(id[:]), Serial: uint64(c.Serial()), Element: hexOf(element[:]), Generation: c.Generation(),
		OPRFKey: hexOf(key[:]), Record: hexOf(record[:]), KSF: []uint32{ksf.TimeCost, ksf.MemoryKiB, uint32(ksf.Lanes)},
		GuessesLeft: c.GuessesLeft(), LockedForMs: c.LockedForMs(), Repeated: c.Repeated(),
	}
}

// The files are what the generator makes, all of it and nothing else.
func TestVectorsAreGenerated(t *testing.T) {
	made := vectortest.Set{}
	for _, v := range allVectors() {
		made.Add(t, v.name, v.format())
	}
	made.Check(t, vectorDir, vectorPrefix)
}

// What follows is docs/spec/vault.md a second time: the encodings, and what each operation does.

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func be64[N ~uint64](n N) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

func specFreshness(f wire.Freshness) []byte {
	return cat(f.Archive[:], be64(f.Generation), f.Digest[:])
}

func specKSF(k wire.KSF) []byte { return cat(be32(k.TimeCost), be32(k.MemoryKiB), []byte{k.Lanes}) }

func specHash(h *wire.ManageHash) []byte {
	if h == nil {
		return []byte{0}
	}
	return cat([]byte{1}, h[:])
}

func specOp(op Op) []byte {
	switch op := op.(type) {
	case *Register:
		return cat([]byte{1}, op.ID[:], be64(op.Ticket), []byte{op.Generation}, op.OPRFKey[:], op.Record[:], op.SealedKey[:], op.Manage[:], specKSF(op.KSF))
	case *Confirm:
		return cat([]byte{2}, op.ID[:], op.Manage[:], specHash(op.Replaces))
	case *Charge:
		return cat([]byte{3}, op.ID[:], be64(op.Serial), op.Element[:])
	case *Prove:
		return cat([]byte{4}, op.ID[:], be64(op.Serial))
	case *Delete:
		return cat([]byte{5}, op.ID[:], specHash(op.Proof))
	case *PutFreshness:
		return cat([]byte{6}, op.ID[:], op.Manage[:], specFreshness(op.Freshness))
	}
	return []byte{7}
}

func specAccount(a *Account) []byte {
	deadline := ^uint64(0)
	var list []byte
	for i := range a.Registrations {
		r := &a.Registrations[i]
		list = append(list, specRegistration(r)...)
		if r.State == wire.StatePending || r.State == wire.StateRetained {
			deadline = min(deadline, uint64(r.ExpiresAt))
		}
		if (r.State == wire.StateLive || r.State == wire.StateRetained) && r.GuessesLeft == 0 {
			deadline = min(deadline, uint64(r.ProvableUntil))
		}
	}
	var guess []byte
	if a.Serial > 0 {
		guess = cat(be64(a.LastGuessAt), a.LastGuess.ID[:], a.LastGuess.Element[:])
	}
	var unregistered []byte
	if n := len(a.Unregistered); n > 0 {
		unregistered = []byte{byte(n)}
	}
	for _, u := range a.Unregistered {
		unregistered = cat(unregistered, u.Manage[:], specFreshness(u.Freshness))
	}
	return cat(be64(deadline), be64(a.Serial), guess, be64(a.Tickets), []byte{byte(len(a.Registrations))}, list, unregistered)
}

func specRegistration(r *Registration) []byte {
	head := byte(r.State)
	var times []byte
	for i, at := range []wire.UnixMs{r.ExpiresAt, r.LockedUntil, r.ProvableUntil} {
		if at != 0 {
			head |= 0x80 >> i
			times = append(times, be64(at)...)
		}
	}
	b := cat([]byte{head}, r.ID[:], be64(r.CreatedAt), times)
	if r.State == wire.StateDestroyed {
		return b
	}
	b = cat(b, []byte{r.Budget, r.GuessesLeft}, be32(uint32(r.CooldownMs)), be64(r.GraceMs), []byte{r.Generation},
		r.OPRFKey[:], r.Record[:], r.SealedKey[:], r.Manage[:], specKSF(r.KSF), []byte{byte(len(r.Freshness))})
	for _, f := range r.Freshness {
		b = append(b, specFreshness(f)...)
	}
	return b
}

// long gives n bytes that look random.
func long(what string, n int) (b []byte) {
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256([]byte("coffer vault test vector: " + what + string(rune('a'+i))))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func idOf(name string) wire.RegistrationID  { return wire.RegistrationID(long(name+" id", 16)) }
func manageOf(name string) wire.ManageHash  { return wire.ManageHash(long(name+" K", 32)) }
func proofOf(name string) *wire.ManageHash  { h := manageOf(name); return &h }
func elementOf(n string) wire.ElementDigest { return wire.ElementDigest(long("element "+n, 32)) }
func freshOf(name string, g uint64) wire.Freshness {
	return wire.Freshness{Archive: wire.ArchiveID(long(name, 16)), Generation: g, Digest: [32]byte(long(fmt.Sprint(name, g), 32))}
}

const vectorNow = wire.UnixMs(1_800_000_000_000)

func registerOf(name string, ticket uint64) *Register {
	return &Register{
		ID: idOf(name), Ticket: ticket, Generation: 1, OPRFKey: [32]byte(long(name+" OPRF", 32)), Record: [192]byte(long(name+" record", 192)),
		SealedKey: [48]byte(long(name+" sealed", 48)), Manage: manageOf(name), KSF: wire.KSF{TimeCost: 3, MemoryKiB: 65536, Lanes: 4},
	}
}

// registrationOf is as it was stored ten days ago.
func registrationOf(name string, state wire.State) Registration {
	op := registerOf(name, 0)
	return Registration{
		ID: op.ID, State: state, Budget: 10, GuessesLeft: 10, CooldownMs: minuteMs, GraceMs: 30 * dayMs, CreatedAt: vectorNow - 10*dayMs,
		Generation: 1, OPRFKey: op.OPRFKey, Record: op.Record, SealedKey: op.SealedKey, Manage: op.Manage, KSF: op.KSF,
	}
}

// baseAccount has a registration in each state; its last guess, the second since a proof, was at the live one.
func baseAccount() *Account {
	destroyed := Registration{ID: idOf("destroyed"), State: wire.StateDestroyed, CreatedAt: vectorNow - 90*dayMs, ExpiresAt: vectorNow - 60*dayMs}
	retained, live := registrationOf("retained", wire.StateRetained), registrationOf("live", wire.StateLive)
	retained.GuessesLeft, retained.ExpiresAt = 7, vectorNow+20*dayMs
	live.GuessesLeft, live.Freshness = 8, []wire.Freshness{freshOf("archive 1", 5)}
	pending := registrationOf("pending", wire.StatePending)
	pending.CreatedAt, pending.ExpiresAt = vectorNow-30*minuteMs, vectorNow+30*minuteMs
	return &Account{
		Serial: 7, LastGuessAt: vectorNow - 60*minuteMs, LastGuess: Guess{ID: live.ID, Element: elementOf("7")},
		Tickets: 9, Registrations: []Registration{destroyed, retained, live, pending},
	}
}

// vectorset collects vectors. Each starts from the base account with an edit, and ends there with another edit upon it.
type vectorset struct {
	p   wire.Policy
	all []*vector
}

type edit func(a *Account)

func (s *vectorset) add(name, comment string, begin edit, op Op, expect string, want result, change edit) {
	a := baseAccount()
	begin(a)
	p := s.p
	v := &vector{
		name: vectorPrefix + name + ".txt", comment: comment, expect: expect, value: want.String(), now: fmt.Sprint(vectorNow),
		policy: fmt.Sprint(p.Budget, " ", p.CooldownMs, " ", p.GraceMs, " ", p.PendingMs, " ", p.ProvableMs),
		before: specAccount(a), op: specOp(op),
	}
	change(a)
	v.after = specAccount(a)
	s.all = append(s.all, v)
}

// refused adds an operation that changes nothing.
func (s *vectorset) refused(name, comment string, begin edit, op Op, code wire.Code, want result) {
	s.add(name, comment, begin, op, fmt.Sprint("refused ", uint16(code)), want, as)
}

func as(*Account) {}

// on edits one registration.
func on(name string, change func(r *Registration)) edit {
	return func(a *Account) { change(a.find(idOf(name))) }
}

func all(edits ...edit) edit {
	return func(a *Account) {
		for _, e := range edits {
			e(a)
		}
	}
}

func without(name string) edit {
	return func(a *Account) {
		a.Registrations = slices.DeleteFunc(a.Registrations, func(r Registration) bool { return r.ID == idOf(name) })
	}
}

func with(r Registration) edit {
	return func(a *Account) { a.Registrations = append(a.Registrations, r) }
}

// destroyed leaves a name.
func destroyed(name string) edit {
	return on(name, func(r *Registration) {
		*r = Registration{ID: r.ID, State: wire.StateDestroyed, CreatedAt: r.CreatedAt, ExpiresAt: vectorNow}
	})
}

// left sets what guesses leave behind.
func left(name string, n uint8, locked, provable wire.UnixMs) edit {
	return on(name, func(r *Registration) { r.GuessesLeft, r.LockedUntil, r.ProvableUntil = n, locked, provable })
}

// guessed remembers a guess at the live registration.
func guessed(serial wire.Serial, element string) edit {
	return func(a *Account) {
		a.Serial, a.LastGuessAt, a.LastGuess = serial, vectorNow, Guess{ID: idOf("live"), Element: elementOf(element)}
	}
}

func allVectors() []*vector {
	s := &vectorset{p: wire.DefaultPolicy()}
	s.registers()
	s.confirms()
	s.guesses()
	s.policies()
	s.guessFaults()
	s.proves()
	s.deletes()
	s.freshness()
	s.unregistered()
	s.expires()
	return s.all
}

// stored is a registration as a Register leaves it.
func stored(name string) edit {
	r := registrationOf(name, wire.StatePending)
	r.CreatedAt, r.ExpiresAt = vectorNow, vectorNow+60*minuteMs
	return with(r)
}

func (s *vectorset) registers() {
	tickets := func(n uint64) edit { return func(a *Account) { a.Tickets = n } }
	hour := result{ConfirmWithinMs: 60 * minuteMs}
	s.add("register-ok", "the first of an account that never was", func(a *Account) { *a = Account{} }, registerOf("new", 0), "registered", hour, all(tickets(1), stored("new")))
	s.all[0].before = nil // its encoding is empty
	s.add("register-ok-second", "it takes the place of the pending one", as, registerOf("new", 9), "registered", hour, all(tickets(10), without("pending"), stored("new")))
	s.add("register-ok-again", "the same once more, pending", as, registerOf("pending", 8), "registered", result{ConfirmWithinMs: 30 * minuteMs}, as)
	s.add("register-ok-live", "the same once more, live meanwhile", as, registerOf("live", 7), "registered", result{}, as)
	s.refused("register-ticket-old", "a ticket of before another registration", as, registerOf("new", 8), wire.CodeTicket, result{})
	s.refused("register-ticket-ahead", "a ticket with a number that none has yet", as, registerOf("new", 10), wire.CodeTicket, result{})
	s.refused("register-retained", "the same once more, retained meanwhile", as, registerOf("retained", 9), wire.CodeTicket, result{})
	s.refused("register-destroyed", "the same once more, destroyed meanwhile", as, registerOf("destroyed", 9), wire.CodeTicket, result{})
	other := registerOf("pending", 9)
	other.Record[191] ^= 1
	s.refused("register-record", "the ticket is used, for another record", as, other, wire.CodeTicket, result{})
	other = registerOf("pending", 9)
	other.KSF.Lanes++
	s.refused("register-ksf", "the ticket is used, with another Argon2id cost", as, other, wire.CodeTicket, result{})
}

// confirmed makes the pending registration live.
var confirmed = on("pending", func(r *Registration) { r.State, r.ExpiresAt = wire.StateLive, 0 })

// kept retains the live registration.
var kept = on("live", func(r *Registration) { r.State, r.ExpiresAt = wire.StateRetained, vectorNow+30*dayMs })

func owned(name, by string) edit { return on(name, func(r *Registration) { r.Manage = manageOf(by) }) }

func fresh(name string, list ...wire.Freshness) edit {
	return on(name, func(r *Registration) { r.Freshness = list })
}

func (s *vectorset) confirms() {
	op := &Confirm{ID: idOf("pending"), Manage: manageOf("pending")}
	s.add("confirm-ok-first", "there is no other", all(without("live"), without("retained")), op, "confirmed", result{}, confirmed)
	s.add("confirm-ok", "without proof the live one is retained", as, op, "confirmed", result{RetainedMs: 30 * dayMs}, all(confirmed, kept))
	s.add("confirm-ok-again", "it is live already", as, &Confirm{ID: idOf("live"), Manage: manageOf("live")}, "confirmed", result{RetainedMs: 20 * dayMs}, as)
	five, nine := freshOf("archive 1", 5), freshOf("archive 2", 9)
	s.add("confirm-ok-same", "those of the same K die; what they knew of archives is kept, of each the newest",
		all(owned("live", "pending"), owned("retained", "pending"), fresh("retained", freshOf("archive 1", 4), nine)), op,
		"confirmed", result{Replaced: 2}, all(confirmed, without("live"), without("retained"), fresh("pending", nine, five)))
	s.add("confirm-ok-replaces", "the one of the replaced K dies, and the retained one stays", as,
		&Confirm{ID: op.ID, Manage: op.Manage, Replaces: proofOf("live")}, "confirmed", result{Replaced: 1},
		all(confirmed, without("live"), fresh("pending", five)))
	s.add("confirm-ok-replaces-retained", "the replaced K is the retained one's", as,
		&Confirm{ID: op.ID, Manage: op.Manage, Replaces: proofOf("retained")}, "confirmed", result{Replaced: 1, RetainedMs: 30 * dayMs},
		all(confirmed, without("retained"), kept))
	s.add("confirm-ok-replaces-none", "the replaced K is nobody's", as,
		&Confirm{ID: op.ID, Manage: op.Manage, Replaces: proofOf("nobody")}, "confirmed", result{RetainedMs: 30 * dayMs}, all(confirmed, kept))
	s.refused("confirm-unknown", "no such registration", as, &Confirm{ID: idOf("none"), Manage: op.Manage}, wire.CodeNoRegistration, result{})
	s.refused("confirm-destroyed", "it is destroyed", as, &Confirm{ID: idOf("destroyed"), Manage: manageOf("destroyed")}, wire.CodeDestroyed, result{})
	s.refused("confirm-proof", "another manage secret", as, &Confirm{ID: op.ID, Manage: manageOf("live")}, wire.CodeProof, result{})
	s.refused("confirm-proof-live", "another manage secret of a live one", as, &Confirm{ID: idOf("live"), Manage: op.Manage}, wire.CodeProof, result{})
	s.refused("confirm-retained", "it was live, and is retained", as, &Confirm{ID: idOf("retained"), Manage: manageOf("retained")}, wire.CodeReplaced, result{})
	s.refused("confirm-proof-retained", "another manage secret of a retained one", as, &Confirm{ID: idOf("retained"), Manage: op.Manage}, wire.CodeProof, result{})
	two, three := registrationOf("second", wire.StateRetained), registrationOf("third", wire.StateRetained)
	two.ExpiresAt, three.ExpiresAt = vectorNow+dayMs, vectorNow+2*dayMs
	full := all(with(two), with(three))
	s.refused("confirm-too-many", "four would have to be retained", full, op, wire.CodeTooMany, result{RetryAfterMs: dayMs})
	s.add("confirm-ok-most", "four, but one dies by proof", full, &Confirm{ID: op.ID, Manage: op.Manage, Replaces: proofOf("third")},
		"confirmed", result{Replaced: 1, RetainedMs: 30 * dayMs}, all(confirmed, without("third"), kept))
}

// guess is what a charge of the live registration answers.
func guess(serial uint64, element string, left uint8, lockedMs uint64) result {
	op, e, id := registerOf("live", 0), elementOf(element), idOf("live")
	return result{
		Registration: hexOf(id[:]), Serial: serial, Element: hexOf(e[:]), Generation: 1, OPRFKey: hexOf(op.OPRFKey[:]), Record: hexOf(op.Record[:]),
		KSF: []uint32{3, 65536, 4}, GuessesLeft: left, LockedForMs: lockedMs,
	}
}

func chargeOf(name string, serial wire.Serial, element string) *Charge {
	return &Charge{ID: idOf(name), Serial: serial, Element: elementOf(element)}
}

func (s *vectorset) guesses() {
	op := chargeOf("live", 8, "8")
	s.add("charge-ok", "it is charged to the retained one, too, whose fourth it is: that is locked for a minute", as, op, "charged", guess(8, "8", 7, 0),
		all(guessed(8, "8"), left("live", 7, 0, 0), left("retained", 6, vectorNow+minuteMs, 0)))
	s.add("charge-ok-first", "the first guess of an account", func(a *Account) { a.Serial, a.LastGuessAt, a.LastGuess = 0, 0, Guess{} },
		chargeOf("live", 1, "1"), "charged", guess(1, "1", 7, 0), all(guessed(1, "1"), left("live", 7, 0, 0), left("retained", 6, vectorNow+minuteMs, 0)))
	s.add("charge-ok-element", "the element of the last guess under the next serial is a new guess", as, chargeOf("live", 8, "7"), "charged", guess(8, "7", 7, 0),
		all(guessed(8, "7"), left("live", 7, 0, 0), left("retained", 6, vectorNow+minuteMs, 0)))
	alone := without("retained")
	s.add("charge-ok-cooldown", "the sixth without a proof: four minutes, and four times as long again", all(alone, left("live", 5, vectorNow, 0)), op,
		"charged", guess(8, "8", 4, 16*minuteMs), all(guessed(8, "8"), left("live", 4, vectorNow+16*minuteMs, 0)))
	s.add("charge-ok-last", "the last one can be proved for ten minutes", all(alone, left("live", 1, vectorNow-1, 0)), op, "charged", guess(8, "8", 0, 4096*minuteMs),
		all(guessed(8, "8"), left("live", 0, vectorNow+4096*minuteMs, vectorNow+10*minuteMs)))
	s.add("charge-ok-beside-exhausted", "one without guesses is charged no more", left("retained", 0, vectorNow+dayMs, vectorNow+1), op, "charged", guess(8, "8", 7, 0),
		all(guessed(8, "8"), left("live", 7, 0, 0)))
	s.add("charge-ok-beside-locked", "one that is locked is not charged, in its last millisecond", left("retained", 6, vectorNow+1, 0), op, "charged", guess(8, "8", 7, 0),
		all(guessed(8, "8"), left("live", 7, 0, 0)))
	s.add("charge-ok-beside-unlocked", "one whose lock has just ended is charged, and locked again", left("retained", 6, vectorNow, 0), op, "charged", guess(8, "8", 7, 0),
		all(guessed(8, "8"), left("live", 7, 0, 0), left("retained", 5, vectorNow+4*minuteMs, 0)))
	repeated := guess(7, "7", 8, 0)
	repeated.Repeated = true
	s.add("charge-ok-repeated", "the last guess once more is free", as, chargeOf("live", 7, "7"), "charged", repeated, as)
	repeated.GuessesLeft, repeated.LockedForMs = 0, 5*minuteMs
	s.add("charge-ok-repeated-last", "also while it is locked and without a guess", left("live", 0, vectorNow+5*minuteMs, vectorNow+1), chargeOf("live", 7, "7"),
		"charged", repeated, as)
}

// policies are later ones than the registrations'.
func (s *vectorset) policies() {
	later := &vectorset{p: s.p}
	later.p.Budget, later.p.CooldownMs, later.p.GraceMs, later.p.ProvableMs = 5, 2*minuteMs, dayMs, 3*minuteMs
	add := func(name, comment string, has, becomes, leaves uint8, lockedMs uint64, provable wire.UnixMs) {
		locked := wire.UnixMs(0)
		if lockedMs > 0 {
			locked = vectorNow + wire.UnixMs(lockedMs)
		}
		later.add(name, comment, all(without("retained"), left("live", has, 0, 0)), chargeOf("live", 8, "8"), "charged", guess(8, "8", leaves, lockedMs),
			all(guessed(8, "8"), left("live", leaves, locked, provable), on("live", func(r *Registration) { r.Budget = becomes })))
	}
	add("policy-ok-budget", "a smaller budget: the guesses made count", 8, 5, 2, 0, 0)
	add("policy-ok-cooldown", "a longer cooldown counts for registrations made before", 7, 5, 1, 2*minuteMs, 0)
	add("policy-ok-one-left", "one guess stays where there was one, and no more", 4, 5, 0, 8*minuteMs, vectorNow+3*minuteMs)
	later.add("policy-ok-proof", "a proof refills to the smaller budget", as, &Prove{ID: idOf("live"), Serial: 7}, "proved", proof(5),
		on("live", func(r *Registration) { r.Budget, r.GuessesLeft = 5, 5 }))
	later.add("policy-ok-grace", "a shorter grace period does not count for registrations made before", as, &Delete{ID: idOf("live")}, "deleted",
		result{RetainedMs: 30 * dayMs}, kept)
	later.p = s.p
	later.p.Budget, later.p.CooldownMs = 100, 0
	add("policy-ok-looser", "a larger budget and a shorter cooldown do not", 7, 10, 6, minuteMs, 0)
	later.add("policy-ok-week", "the wait is a week at most", all(without("retained"), on("live", func(r *Registration) { r.Budget, r.GuessesLeft = 100, 89 })),
		chargeOf("live", 8, "8"), "charged", guess(8, "8", 88, 7*dayMs), all(guessed(8, "8"), left("live", 88, vectorNow+7*dayMs, 0)))
	s.all = append(s.all, later.all...)
}

func (s *vectorset) guessFaults() {
	op := chargeOf("live", 8, "8")
	stale := result{Serial: 7, GuessesLeft: 8}
	s.refused("charge-unknown", "no such registration", as, chargeOf("none", 8, "8"), wire.CodeNoRegistration, result{})
	s.refused("charge-destroyed", "it is destroyed", as, chargeOf("destroyed", 8, "8"), wire.CodeDestroyed, result{})
	s.refused("charge-pending", "it is pending", as, chargeOf("pending", 8, "8"), wire.CodePending, result{})
	s.refused("charge-serial-old", "an old serial", as, chargeOf("live", 6, "7"), wire.CodeStaleSerial, stale)
	s.refused("charge-serial-last", "the last serial with another element", as, chargeOf("live", 7, "8"), wire.CodeStaleSerial, stale)
	s.refused("charge-serial-ahead", "a serial is left out", as, chargeOf("live", 9, "8"), wire.CodeStaleSerial, stale)
	s.refused("charge-serial-other", "the last serial and element at another registration", as, chargeOf("retained", 7, "7"), wire.CodeStaleSerial,
		result{Serial: 7, GuessesLeft: 7})
	s.refused("charge-serial-zero", "serial 0, where there was no guess", func(a *Account) { a.Serial, a.LastGuessAt, a.LastGuess = 0, 0, Guess{} },
		&Charge{ID: idOf("live")}, wire.CodeStaleSerial, result{GuessesLeft: 8})
	s.refused("charge-serial-exhausted", "an old serial does not destroy", left("live", 0, 0, vectorNow+1), chargeOf("live", 6, "7"), wire.CodeStaleSerial, result{Serial: 7})
	s.refused("charge-locked", "a millisecond too early", left("live", 6, vectorNow+1, 0), op, wire.CodeLocked, result{RetryAfterMs: 1, GuessesLeft: 6})
	s.add("charge-exhausted", "the next guess at one without guesses destroys it, and uses no serial", left("live", 0, vectorNow+dayMs, vectorNow+1), op,
		"refused 10", result{}, destroyed("live"))
	s.add("charge-due", "the last guess can be proved no longer: time has destroyed it", left("live", 0, 0, vectorNow), chargeOf("live", 7, "7"),
		"refused 10", result{}, destroyed("live"))
}

// proof is what a proof of the live registration answers.
func proof(budget uint8) result {
	return result{SealedKey: hexOf(long("live sealed", 48)), GuessesLeft: budget, Freshness: []string{hexOf(specFreshness(freshOf("archive 1", 5)))}}
}

func (s *vectorset) proves() {
	op := &Prove{ID: idOf("live"), Serial: 7}
	full := left("live", 10, 0, 0)
	s.add("prove-ok", "it refills the one registration, and no other", left("live", 3, vectorNow+dayMs, 0), op, "proved", proof(10), full)
	s.add("prove-ok-last", "the last guess, in its last millisecond", left("live", 0, vectorNow+dayMs, vectorNow+1), op, "proved", proof(10), full)
	s.add("prove-ok-again", "the same guess once more", full, op, "proved", proof(10), as)
	retained := result{SealedKey: hexOf(long("retained sealed", 48)), GuessesLeft: 10}
	s.add("prove-ok-retained", "a retained one; its deadline stays", func(a *Account) { a.LastGuess.ID = idOf("retained") }, &Prove{ID: idOf("retained"), Serial: 7},
		"proved", retained, left("retained", 10, 0, 0))
	s.refused("prove-unknown", "no such registration", as, &Prove{ID: idOf("none"), Serial: 7}, wire.CodeNoRegistration, result{})
	s.refused("prove-destroyed", "it is destroyed", as, &Prove{ID: idOf("destroyed"), Serial: 7}, wire.CodeDestroyed, result{})
	s.refused("prove-pending", "it is pending", as, &Prove{ID: idOf("pending"), Serial: 7}, wire.CodePending, result{})
	s.refused("prove-serial", "another guess was made since", as, &Prove{ID: idOf("live"), Serial: 6}, wire.CodeSession, result{})
	s.refused("prove-other", "the last guess was at another registration", as, &Prove{ID: idOf("retained"), Serial: 7}, wire.CodeSession, result{})
	s.refused("prove-none", "there was no guess", func(a *Account) { a.Serial, a.LastGuessAt, a.LastGuess = 0, 0, Guess{} }, &Prove{ID: idOf("live")}, wire.CodeSession, result{})
	s.add("prove-due", "a millisecond too late: time has destroyed it", left("live", 0, 0, vectorNow), op, "refused 10", result{}, destroyed("live"))
}

func (s *vectorset) deletes() {
	at := func(name string) *Delete { return &Delete{ID: idOf(name)} }
	by := func(name string) *Delete { return &Delete{ID: idOf(name), Proof: proofOf(name)} }
	s.add("delete-ok-proof", "with the proof of its K, at once", as, by("live"), "deleted", result{}, without("live"))
	s.add("delete-ok-proof-retained", "a retained one, with proof", as, by("retained"), "deleted", result{}, without("retained"))
	s.add("delete-ok", "without proof it is retained", as, at("live"), "deleted", result{RetainedMs: 30 * dayMs}, kept)
	s.add("delete-ok-exhausted", "one without guesses keeps its earlier deadline", left("live", 0, 0, vectorNow+minuteMs), at("live"), "deleted",
		result{RetainedMs: minuteMs}, kept)
	s.add("delete-ok-retained", "a retained one without proof keeps its deadline", as, at("retained"), "deleted", result{RetainedMs: 20 * dayMs}, as)
	s.add("delete-ok-pending", "a pending one needs no proof", as, at("pending"), "deleted", result{}, without("pending"))
	s.refused("delete-unknown", "no such registration", as, at("none"), wire.CodeNoRegistration, result{})
	s.refused("delete-destroyed", "it is destroyed", as, at("destroyed"), wire.CodeDestroyed, result{})
	s.refused("delete-proof", "another manage secret", as, &Delete{ID: idOf("live"), Proof: proofOf("retained")}, wire.CodeProof, result{})
	s.refused("delete-proof-pending", "another manage secret of a pending one, which needs none", as, &Delete{ID: idOf("pending"), Proof: proofOf("live")}, wire.CodeProof, result{})
}

func (s *vectorset) freshness() {
	put := func(name string, f wire.Freshness) *PutFreshness {
		return &PutFreshness{ID: idOf(name), Manage: manageOf(name), Freshness: f}
	}
	five, six, other := freshOf("archive 1", 5), freshOf("archive 1", 6), freshOf("archive 2", 1)
	three, four := freshOf("archive 3", 1), freshOf("archive 4", 1)
	s.add("freshness-ok", "an archive more", as, put("live", other), "freshness put", result{}, fresh("live", five, other))
	s.add("freshness-ok-newer", "a newer generation", as, put("live", six), "freshness put", result{}, fresh("live", six))
	s.add("freshness-ok-again", "the same once more", as, put("live", five), "freshness put", result{}, as)
	s.add("freshness-ok-retained", "at a retained registration", as, put("retained", five), "freshness put", result{}, fresh("retained", five))
	s.refused("freshness-unknown", "no such registration", as, put("none", six), wire.CodeNoRegistration, result{})
	s.refused("freshness-destroyed", "it is destroyed", as, put("destroyed", six), wire.CodeDestroyed, result{})
	s.refused("freshness-pending", "it is pending", as, put("pending", six), wire.CodePending, result{})
	foreign := put("live", six)
	foreign.Manage = manageOf("retained")
	s.refused("freshness-proof", "another manage secret", as, foreign, wire.CodeProof, result{})
	s.refused("freshness-old", "an older generation", as, put("live", freshOf("archive 1", 4)), wire.CodeOldFreshness, result{})
	fork := five
	fork.Digest[0] ^= 1
	s.refused("freshness-fork", "the same generation with another head", as, put("live", fork), wire.CodeOldFreshness, result{})
	full := fresh("live", five, other, three, four)
	s.refused("freshness-fifth", "a fifth archive", full, put("live", freshOf("archive 5", 1)), wire.CodeTooMany, result{})
	s.add("freshness-ok-order", "a newer generation is news", full, put("live", six), "freshness put", result{}, fresh("live", other, three, four, six))
	s.add("freshness-ok-again-order", "the same once more is none", full, put("live", five), "freshness put", result{}, as)
}

// unregistered is what the account remembers without a registration.
func (s *vectorset) unregistered() {
	put := func(key string, f wire.Freshness) *PutFreshness {
		return &PutFreshness{Manage: manageOf(key), Freshness: f}
	}
	told := func(list ...Unregistered) edit { return func(a *Account) { a.Unregistered = list } }
	of := func(key string, f wire.Freshness) Unregistered { return Unregistered{manageOf(key), f} }
	five, six := freshOf("archive 1", 5), freshOf("archive 1", 6)
	one := told(of("digits", five))
	s.add("unregistered-ok", "an archive under a key of no registration", as, put("digits", five), "freshness put", result{}, one)
	s.add("unregistered-ok-newer", "a newer generation", one, put("digits", six), "freshness put", result{}, told(of("digits", six)))
	s.add("unregistered-ok-again", "the same once more", one, put("digits", five), "freshness put", result{}, as)
	s.add("unregistered-ok-other", "the same archive under another key", one, put("other", freshOf("archive 1", 1)), "freshness put", result{},
		told(of("digits", five), of("other", freshOf("archive 1", 1))))
	s.refused("unregistered-old", "an older generation", one, put("digits", freshOf("archive 1", 4)), wire.CodeOldFreshness, result{})
	fork := five
	fork.Digest[0] ^= 1
	s.refused("unregistered-fork", "the same generation with another head", one, put("digits", fork), wire.CodeOldFreshness, result{})
	full := told(of("digits", five), of("digits", freshOf("archive 2", 1)), of("other", five), of("third", five))
	s.refused("unregistered-fifth", "a fifth", full, put("digits", freshOf("archive 3", 1)), wire.CodeTooMany, result{})
	s.add("unregistered-ok-deleted", "what was told under a key goes with its manage secret", told(of("digits", five), of("other", five)),
		&Delete{Proof: proofOf("digits")}, "deleted", result{}, told(of("other", five)))
	s.refused("unregistered-delete", "not without a manage secret", one, &Delete{}, wire.CodeNoRegistration, result{})
	s.add("unregistered-ok-registered", "there is a live registration of the key", as, put("live", six), "freshness put", result{}, fresh("live", six))
	s.add("unregistered-ok-retained", "there is a retained registration of the key", as, put("retained", five), "freshness put", result{}, told(of("retained", five)))
	s.add("unregistered-ok-confirmed", "a registration of the key, and of one that it replaces, takes over",
		told(of("pending", six), of("other", five), of("live", freshOf("archive 2", 1))),
		&Confirm{ID: idOf("pending"), Manage: manageOf("pending"), Replaces: proofOf("live")}, "confirmed", result{Replaced: 1},
		all(without("live"), confirmed, fresh("pending", six, freshOf("archive 2", 1)), told(of("other", five))))
}

func (s *vectorset) expires() {
	expire := func(name, comment string, begin, change edit) {
		s.add(name, comment, begin, &Expire{}, "nothing", result{}, change)
	}
	until := func(name string, at wire.UnixMs) edit { return on(name, func(r *Registration) { r.ExpiresAt = at }) }
	expire("expire-ok", "nothing is due", as, as)
	expire("expire-ok-pending", "an unconfirmed one is forgotten", until("pending", vectorNow), without("pending"))
	expire("expire-ok-retained", "a retained one is forgotten", until("retained", vectorNow), without("retained"))
	expire("expire-ok-exhausted", "one without guesses is destroyed", left("live", 0, 0, vectorNow), destroyed("live"))
	expire("expire-ok-exhausted-first", "a retained one without guesses is destroyed, and not forgotten",
		all(until("retained", vectorNow), left("retained", 0, 0, vectorNow)), destroyed("retained"))
	expire("expire-ok-retained-first", "a retained one without guesses is forgotten while its last guess can still be proved",
		all(until("retained", vectorNow), left("retained", 0, 0, vectorNow+1)), without("retained"))
	tombstone := func(name string, at wire.UnixMs) edit {
		return with(Registration{ID: idOf(name), State: wire.StateDestroyed, CreatedAt: vectorNow - 90*dayMs, ExpiresAt: at})
	}
	expire("expire-ok-tombstones", "the newest four names of destroyed ones are kept",
		all(tombstone("second", vectorNow-61*dayMs), tombstone("third", vectorNow-1), tombstone("fourth", vectorNow-1), left("live", 0, 0, vectorNow)),
		all(destroyed("live"), without("second")))
	s.add("expire-then-refuse", "what is due happens before an operation that is refused", until("pending", vectorNow), &Delete{ID: idOf("pending")},
		"refused 9", result{}, without("pending"))
}
