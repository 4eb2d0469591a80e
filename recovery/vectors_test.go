// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bytemare/ecc"
	"golang.org/x/crypto/argon2"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/internal/vectortest"
	"github.com/coffer-backup/coffer/wire"
)

// Other vectors in the folder have another prefix, and another package reads them.
const (
	vectorDir    = "../testvectors/vault"
	vectorPrefix = "client-"
)

// A vector is one run of OPAQUE with what is sealed around it, and at most one fault. It is made by a second
// implementation of the RFCs and docs/spec/vault.md, further down, and read by this package.
type vector struct {
	name   string
	fields map[string]string
	blocks [][]byte
}

// Where a block is.
const (
	registrationBlinded, registrationResponse, registrationRecord, registrationSealed = 0, 1, 2, 3
	loginRecord, loginKE1, loginKE2, loginKE3, loginDelivered                         = 0, 1, 2, 3, 4
)

// fieldNames is the order of the lines.
var fieldNames = []string{
	"expect", "comment", "kind", "fleet", "account", "registration", "password", "prepared", "ksf", "key", "blind seed", "envelope nonce", "oprf seed", "server seed",
	"nonce", "share seed", "server nonce", "masking nonce", "server share seed", "value",
}

func (v *vector) format() []byte {
	var b bytes.Buffer
	for _, name := range fieldNames {
		if value := v.fields[name]; value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	for _, block := range v.blocks {
		b.WriteByte('\n')
		for line := range slices.Chunk(block, 48) {
			fmt.Fprintf(&b, "%x\n", line)
		}
	}
	return b.Bytes()
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
		v := &vector{name: filepath.Base(f), fields: map[string]string{}}
		parts := strings.Split(string(text), "\n\n")
		for line := range strings.SplitSeq(parts[0], "\n") {
			name, value, ok := strings.Cut(line, ": ")
			if !ok || v.fields[name] != "" {
				t.Fatalf("%s: line %q", v.name, line)
			}
			v.fields[name] = value
		}
		for _, part := range parts[1:] {
			v.blocks = append(v.blocks, unhex(t, strings.ReplaceAll(part, "\n", "")))
		}
		if want := map[string]int{"registration": 4, "login": 5}[v.fields["kind"]]; want == 0 || len(v.blocks) != want {
			t.Fatalf("%s has %d blocks, want %d", v.name, len(v.blocks), want)
		}
		all = append(all, v)
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bytes returns a field of n bytes.
func (v *vector) bytes(t *testing.T, name string, n int) []byte {
	t.Helper()
	b := unhex(t, v.fields[name])
	if len(b) != n {
		t.Fatalf("%s has %d bytes, want %d", name, len(b), n)
	}
	return b
}

func (v *vector) ksf(t *testing.T) (k wire.KSF) {
	if _, err := fmt.Sscanf(v.fields["ksf"], "%d %d %d", &k.TimeCost, &k.MemoryKiB, &k.Lanes); err != nil {
		t.Fatal(err)
	}
	return k
}

func (v *vector) prepared(t *testing.T) []byte {
	typed, err := strconv.Unquote(v.fields["password"])
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := prepare(typed)
	if err != nil || hex.EncodeToString(prepared) != v.fields["prepared"] {
		t.Fatalf("prepared is %x, %v", prepared, err)
	}
	return prepared
}

func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			run := v.login
			if v.fields["kind"] == "registration" {
				run = v.registration
			}
			class, value := run(t)
			if want := v.fields["expect"]; class != want || value != v.fields["value"] {
				t.Errorf("%s:\n got %s %s\nwant %s %s", v.fields["comment"], class, value, want, v.fields["value"])
			}
			seen[v.fields["kind"]+" "+class] = true
		})
	}
	for _, want := range []string{
		"registration success", "registration malformed", "registration cost",
		"login success", "login malformed", "login cost", "login wrong-password", "login does-not-open",
	} {
		if !seen[want] {
			t.Errorf("there is no vector of %s", want)
		}
	}
}

func classOf(err error) string {
	_, wrong := errors.AsType[*WrongPassword](err)
	switch {
	case err == nil:
		return "success"
	case wrong:
		return "wrong-password"
	case errors.Is(err, opaque.ErrCost):
		return "cost"
	case errors.Is(err, opaque.ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrProtocol):
		return "does-not-open"
	}
	return err.Error()
}

func describe(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// client returns a client of the vector's account in its fleet.
func (v *vector) client(t *testing.T, over *script) *Client {
	world := newVault(t)
	d := &world.descriptor
	d.Fleet = wire.FleetID(v.bytes(t, "fleet", 16))
	var err error
	if over.key, err = wire.NewFleetKey(d.Fleet, bytes32()); err != nil {
		t.Fatal(err)
	}
	copy(d.HPKE[:], over.key.Public())
	c := world.device("alice", over)
	c.config.Account = wire.AccountID(v.bytes(t, "account", 32))
	return c
}

func (v *vector) registration(t *testing.T) (class, value string) {
	c, id := v.client(t, &script{}), wire.RegistrationID(v.bytes(t, "registration", 16))
	r, blinded, err := opaque.StartRegistration(v.prepared(t), [64]byte(v.bytes(t, "blind seed", 64)))
	if err != nil || !bytes.Equal(blinded[:], v.blocks[registrationBlinded]) {
		t.Fatalf("blinded is %x, %v", blinded, err)
	}
	response := [64]byte(v.blocks[registrationResponse])
	record, export, server, err := r.Finish(response, c.identities(), opaque.KSF(v.ksf(t)), [32]byte(v.bytes(t, "envelope nonce", 32)))
	if err != nil {
		return classOf(err), ""
	}
	keys, err := opaque.DeriveServerKeys([32]byte(v.bytes(t, "server seed", 32)))
	if err != nil || keys.Public() != server {
		t.Fatalf("the server's key is %x, %v", keys.Public(), err)
	}
	oprfKey, err := opaque.DeriveOPRFKey([64]byte(v.bytes(t, "oprf seed", 64)))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := opaque.RegistrationResponse(oprfKey, server, blinded); err != nil || again != response {
		t.Errorf("the core answers %x, %v", again, err)
	}
	k := [32]byte(v.bytes(t, "key", 32))
	sealed := sealKey(&export, &k, c.context(id))
	if !bytes.Equal(record[:], v.blocks[registrationRecord]) || !bytes.Equal(sealed[:], v.blocks[registrationSealed]) {
		t.Errorf("record and sealed K are\n%x\n%x", record, sealed)
	}
	secret := c.manage(&k)
	hash := secret.Hash()
	return "success", describe(made{hexOf(export[:]), hexOf(secret[:]), hexOf(hash[:])})
}

type made struct{ Export, ManageSecret, ManageHash string }

// script is a Transport that answers a guess and its proof with what a vector has.
type script struct {
	key      *wire.FleetKey
	started  wire.RecoverStarted
	finished wire.RecoverFinished
	ke1, ke3 []byte // as they arrived
}

func (s *script) Descriptor(context.Context) ([]byte, error) { return nil, errCut }

func (s *script) Call(_ context.Context, envelope []byte) ([]byte, error) {
	request, _, sealer, err := s.key.Open(envelope)
	if err != nil {
		return nil, err
	}
	switch b := request.Body.(type) {
	case *wire.RecoverStart:
		s.ke1 = b.KE1[:]
		return sealer.Seal(bytes32(), &s.started), nil
	case *wire.RecoverFinish:
		s.ke3 = b.KE3[:]
		return sealer.Seal(bytes32(), &s.finished), nil
	}
	return nil, errCut
}

func (v *vector) login(t *testing.T) (class, value string) {
	id := wire.RegistrationID(v.bytes(t, "registration", 16))
	s := &script{
		started:  wire.RecoverStarted{KE2: [320]byte(v.blocks[loginKE2]), KSF: v.ksf(t), GuessesLeft: 9},
		finished: wire.RecoverFinished{Key: [64]byte(v.blocks[loginDelivered]), GuessesLeft: 10},
	}
	c := v.client(t, s)
	g := &guess{
		id: id, serial: 1, blind: [64]byte(v.bytes(t, "blind seed", 64)),
		nonce: [32]byte(v.bytes(t, "nonce", 32)), keyShare: [32]byte(v.bytes(t, "share seed", 32)),
	}
	var err error
	if g.login, g.ke1, err = opaque.StartLogin(v.prepared(t), g.blind, g.nonce, g.keyShare); err != nil {
		t.Fatal(err)
	}
	r, err := c.prove(t.Context(), g)
	if !bytes.Equal(s.ke1, v.blocks[loginKE1]) {
		t.Errorf("KE1 is %x", s.ke1)
	}
	if s.ke3 != nil && !bytes.Equal(s.ke3, v.blocks[loginKE3]) {
		t.Errorf("KE3 is %x", s.ke3)
	}
	if err != nil {
		return classOf(err), ""
	}
	v.core(t, c.identities(), id)
	return "success", describe(struct{ Key string }{hexOf(r.K[:])})
}

// core has the vault's side of OPAQUE give the same KE2, and accept the KE3.
func (v *vector) core(t *testing.T, ids opaque.Identities, id wire.RegistrationID) {
	keys, err := opaque.DeriveServerKeys([32]byte(v.bytes(t, "server seed", 32)))
	if err != nil {
		t.Fatal(err)
	}
	in := &opaque.KE2Input{
		Record: [192]byte(v.blocks[loginRecord]), KE1: [96]byte(v.blocks[loginKE1]), CredentialID: id[:], Identities: ids,
		Nonce: [32]byte(v.bytes(t, "server nonce", 32)), MaskingNonce: [32]byte(v.bytes(t, "masking nonce", 32)),
		KeyShareSeed: [32]byte(v.bytes(t, "server share seed", 32)),
	}
	if in.OPRFKey, err = opaque.DeriveOPRFKey([64]byte(v.bytes(t, "oprf seed", 64))); err != nil {
		t.Fatal(err)
	}
	ke2, session, err := keys.KE2(in)
	if err != nil || !bytes.Equal(ke2[:], v.blocks[loginKE2]) {
		t.Errorf("the core answers %x, %v", ke2, err)
	}
	if err := session.Finish(v.blocks[loginKE3]); err != nil {
		t.Errorf("the core refuses the KE3: %v", err)
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

// What follows is RFC 9497, RFC 9807 and docs/spec/vault.md a second time. It shares with the code the group and Argon2id.

const group = ecc.Ristretto255Sha512

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// vec is a length of two bytes and bytes.
func vec(b []byte) []byte { return cat([]byte{byte(len(b) >> 8), byte(len(b))}, b) }

// long gives n bytes that look random.
func long(what string, n int) (b []byte) {
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256([]byte("coffer vault test vector: " + what + string(rune('a'+i))))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hash(parts ...[]byte) []byte {
	sum := sha512.Sum512(cat(parts...))
	return sum[:]
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha512.New, key)
	m.Write(cat(parts...))
	return m.Sum(nil)
}

func extract(secret []byte) []byte { return must(hkdf.Extract(sha512.New, secret, nil)) }

func expand(key []byte, size int, info ...[]byte) []byte {
	return must(hkdf.Expand(sha512.New, key, string(cat(info...)), size))
}

// deriveSecret is RFC 9807, section 6.4.2.
func deriveSecret(key []byte, label string, context []byte) []byte {
	label = "OPAQUE-" + label
	return expand(key, 64, []byte{0, 64, byte(len(label))}, []byte(label), []byte{byte(len(context))}, context)
}

func hashToScalar(seed []byte, dst string) *ecc.Scalar { return group.HashToScalar(seed, []byte(dst)) }

const oprfContext = "OPRFV1-\x00-ristretto255-SHA512"

// deriveKeyPair is DeriveDiffieHellmanKeyPair of RFC 9807, section 6.4.1, where the first try gives no zero.
func deriveKeyPair(seed []byte) (*ecc.Scalar, []byte) {
	private := hashToScalar(cat(seed, vec([]byte("OPAQUE-DeriveDiffieHellmanKeyPair")), []byte{0}), "DeriveKeyPair"+oprfContext)
	return private, public(private)
}

func public(private *ecc.Scalar) []byte { return group.Base().Multiply(private).Encode() }

func element(encoded []byte) *ecc.Element {
	e := group.NewElement()
	if err := e.Decode(encoded); err != nil {
		panic(err)
	}
	return e
}

func dh(private *ecc.Scalar, public []byte) []byte { return element(public).Multiply(private).Encode() }

func seal(key, plain, aad []byte) []byte {
	return must(cipher.NewGCM(must(aes.NewCipher(key)))).Seal(nil, make([]byte, 12), plain, aad)
}

// derive is DeriveKey of docs/spec/wire.md.
func derive(secret, context []byte, domain string) []byte {
	return must(hkdf.Key(sha256.New, secret, context, domain, 32))
}

// spec is one registration, and what follows from it.
type spec struct {
	name, typed, prepared string
	ksf                   wire.KSF

	fleet, account, id, k                []byte
	blindSeed, oprfSeed, serverSeed      []byte
	oprfKey, server                      *ecc.Scalar
	blinded, evaluated, record, envelope []byte
	masking, export, sealed              []byte
	client                               *ecc.Scalar
}

func newSpec(name, typed, prepared string, ksf wire.KSF) *spec {
	s := &spec{
		name: name, typed: typed, prepared: prepared, ksf: ksf,
		fleet: long("fleet", 16), account: long(name+" account", 32), id: long(name+" registration", 16), k: long(name+" K", 32),
		blindSeed: long(name+" blind", 64), oprfSeed: long(name+" OPRF", 64), serverSeed: long("server", 32),
	}
	s.oprfKey, s.server = hashToScalar(s.oprfSeed, "coffer/v1/opaque/oprf-key"), hashToScalar(s.serverSeed, "coffer/v1/opaque/server-key")
	s.blinded, s.evaluated = s.evaluate(s.blindSeed)
	s.register()
	s.sealed = seal(derive(s.export, nil, "coffer/v1/sealed-key"), s.k, cat(s.fleet, s.account, s.id))
	return s
}

func (s *spec) hashed() *ecc.Element {
	return group.HashToGroup([]byte(s.prepared), []byte("HashToGroup-"+oprfContext))
}

// evaluate blinds the password and has it evaluated.
func (s *spec) evaluate(blindSeed []byte) (blinded, evaluated []byte) {
	e := s.hashed().Multiply(hashToScalar(blindSeed, "coffer/v1/opaque/blind"))
	return e.Encode(), e.Multiply(s.oprfKey).Encode()
}

// register is RFC 9807, section 5.2, from the OPRF's output on.
func (s *spec) register() {
	output := hash(vec([]byte(s.prepared)), vec(s.hashed().Multiply(s.oprfKey).Encode()), []byte("Finalize"))
	stretched := argon2.IDKey(output, make([]byte, 16), s.ksf.TimeCost, s.ksf.MemoryKiB, s.ksf.Lanes, 64)
	randomized, nonce := extract(cat(output, stretched)), s.nonce()
	s.masking = expand(randomized, 64, []byte("MaskingKey"))
	s.export = expand(randomized, 64, nonce, []byte("ExportKey"))
	var clientPublic []byte
	s.client, clientPublic = deriveKeyPair(expand(randomized, 32, nonce, []byte("PrivateKey")))
	tag := mac(expand(randomized, 64, nonce, []byte("AuthKey")), nonce, public(s.server), vec(s.fleet), vec(s.account))
	s.envelope = cat(nonce, tag)
	s.record = cat(clientPublic, s.masking, s.envelope)
}

func (s *spec) nonce() []byte { return long(s.name+" envelope", 32) }

// login is RFC 9807, sections 6.3 and 6.4, seen from both sides.
func (s *spec) login() (blocks [][]byte) {
	clientShare, clientSharePublic := deriveKeyPair(long(s.name+" share", 32))
	serverShare, serverSharePublic := deriveKeyPair(long(s.name+" server share", 32))
	blinded, evaluated := s.evaluate(long(s.name+" login blind", 64))
	ke1 := cat(blinded, long(s.name+" nonce", 32), clientSharePublic)
	maskingNonce := long(s.name+" masking nonce", 32)
	masked := expand(s.masking, 128, maskingNonce, []byte("CredentialResponsePad"))
	for i, b := range cat(public(s.server), s.envelope) {
		masked[i] ^= b
	}
	head := cat(evaluated, maskingNonce, masked, long(s.name+" server nonce", 32), serverSharePublic)
	preamble := cat([]byte("OPAQUEv1-"), vec([]byte("coffer/v1/opaque")), vec(s.account), ke1, vec(s.fleet), head)
	prk := extract(cat(dh(serverShare, clientSharePublic), dh(s.server, clientSharePublic), dh(serverShare, public(s.client))))
	if !bytes.Equal(dh(clientShare, public(s.server)), dh(s.server, clientSharePublic)) {
		panic("the shares do not agree")
	}
	handshake := deriveSecret(prk, "HandshakeSecret", hash(preamble))
	session := deriveSecret(prk, "SessionKey", hash(preamble))
	serverMAC := mac(deriveSecret(handshake, "ServerMAC", nil), hash(preamble))
	ke3 := mac(deriveSecret(handshake, "ClientMAC", nil), hash(preamble, serverMAC))
	delivered := seal(derive(session, s.id, "coffer/v1/delivery"), s.sealed, nil)
	return [][]byte{s.record, ke1, cat(head, serverMAC), ke3, delivered}
}

// vectors of one kind, each with an edit of what is right.
func (s *spec) vector(kind, name, class, comment string, blocks [][]byte, edit func(v *vector)) *vector {
	v := &vector{name: vectorPrefix + kind + "-" + name + ".txt", fields: map[string]string{
		"expect": class, "comment": comment, "kind": kind, "fleet": hexOf(s.fleet), "account": hexOf(s.account), "registration": hexOf(s.id),
		"password": strconv.QuoteToASCII(s.typed), "prepared": hexOf([]byte(s.prepared)),
		"ksf":       fmt.Sprint(s.ksf.TimeCost, " ", s.ksf.MemoryKiB, " ", s.ksf.Lanes),
		"oprf seed": hexOf(s.oprfSeed), "server seed": hexOf(s.serverSeed),
	}}
	for _, b := range blocks {
		v.blocks = append(v.blocks, bytes.Clone(b))
	}
	if edit != nil {
		edit(v)
	}
	return v
}

func (s *spec) registrationVector(name, class, comment string, edit func(v *vector)) *vector {
	v := s.vector("registration", name, class, comment, [][]byte{s.blinded, cat(s.evaluated, public(s.server)), s.record, s.sealed}, edit)
	v.fields["key"], v.fields["blind seed"], v.fields["envelope nonce"] = hexOf(s.k), hexOf(s.blindSeed), hexOf(s.nonce())
	if class == "success" {
		secret := derive(s.k, cat(s.fleet, s.account), "coffer/v1/manage")
		sum := sha256.Sum256(cat([]byte{byte(len("coffer/v1/manage-hash"))}, []byte("coffer/v1/manage-hash"), secret))
		v.fields["value"] = describe(made{hexOf(s.export), hexOf(secret), hexOf(sum[:])})
	}
	return v
}

func (s *spec) loginVector(name, class, comment string, edit func(v *vector)) *vector {
	v := s.vector("login", name, class, comment, s.login(), edit)
	for field, size := range map[string]int{"nonce": 32, "server nonce": 32, "masking nonce": 32} {
		v.fields[field] = hexOf(long(s.name+" "+field, size))
	}
	v.fields["blind seed"] = hexOf(long(s.name+" login blind", 64))
	v.fields["share seed"], v.fields["server share seed"] = hexOf(long(s.name+" share", 32)), hexOf(long(s.name+" server share", 32))
	if class == "success" {
		v.fields["value"] = describe(struct{ Key string }{hexOf(s.k)})
	}
	return v
}

// set changes a field, block overwrites part of a block.
func set(field, value string) func(v *vector) {
	return func(v *vector) { v.fields[field] = value }
}

func block(n, at int, with []byte) func(v *vector) {
	return func(v *vector) { copy(v.blocks[n][at:], with) }
}

func flip(n, at int) func(v *vector) { return func(v *vector) { v.blocks[n][at] ^= 1 } }

func allVectors() []*vector {
	plain := newSpec("plain", "correct horse battery staple", "correct horse battery staple", wire.KSF{TimeCost: 3, MemoryKiB: 65536, Lanes: 4})
	other := newSpec("other", "Pa\u00dfwo\u0308rter\u3000und\u00a0\ufb01", "Pa\u00dfw\u00f6rter und \ufb01", wire.KSF{TimeCost: 4, MemoryKiB: 65600, Lanes: 1})
	const ev, ke2Masked, ke2MAC = 0, 64, 256
	identity := make([]byte, 32)
	foreign := bytes.Clone(seal(derive(plain.export, nil, "coffer/v1/sealed-key"), plain.k, cat(plain.fleet, plain.account, other.id)))
	moved := *plain
	moved.sealed = foreign
	return []*vector{
		plain.registrationVector("ok", "success", "a registration", nil),
		other.registrationVector("ok-prepared", "success", "a password that is prepared, and another Argon2id cost", nil),
		plain.registrationVector("reflected", "malformed", "the core hands back the blinded element", block(registrationResponse, 0, plain.blinded)),
		plain.registrationVector("identity", "malformed", "the evaluated element is the identity", block(registrationResponse, 0, identity)),
		plain.registrationVector("cost-passes", "cost", "two passes", set("ksf", "2 65536 4")),

		plain.loginVector("ok", "success", "a login", nil),
		other.loginVector("ok-prepared", "success", "a password that is prepared, and another Argon2id cost", nil),
		plain.loginVector("reflected", "malformed", "the core hands back the blinded element", block(loginKE2, ev, plain.login()[loginKE1][:32])),
		plain.loginVector("identity", "malformed", "the evaluated element is the identity", block(loginKE2, ev, identity)),
		plain.loginVector("cost-memory", "cost", "a KiB over 1 GiB", set("ksf", "3 1048577 4")),
		plain.loginVector("cost-lanes", "cost", "17 lanes", set("ksf", "3 65536 17")),
		plain.loginVector("ksf", "wrong-password", "another cost than the registration's", set("ksf", "3 65536 1")),
		plain.loginVector("fleet", "wrong-password", "another fleet", set("fleet", hexOf(long("another fleet", 16)))),
		plain.loginVector("account", "wrong-password", "another account", set("account", hexOf(other.account))),
		plain.loginVector("masked", "wrong-password", "the masked response is altered", flip(loginKE2, ke2Masked+40)),
		plain.loginVector("mac", "wrong-password", "the core's MAC is altered", flip(loginKE2, ke2MAC)),
		plain.loginVector("delivered", "does-not-open", "the delivered K is altered", flip(loginDelivered, 0)),
		plain.loginVector("delivered-registration", "does-not-open", "it is delivered for another registration", set("registration", hexOf(other.id))),
		moved.loginVector("sealed-registration", "does-not-open", "the sealed K is another registration's", nil),
	}
}
