// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// coreVariable makes this program, started again, a core's process, and names the file for its process id.
const coreVariable = "COFFER_TEST_CORE"

func TestMain(m *testing.M) {
	if os.Getenv(coreVariable) != "" {
		os.Exit(coreMain())
	}
	goleak.VerifyTestMain(m)
}

// coreMain is what a program does that Config.Command names.
func coreMain() int {
	var config CoreConfig
	for i := 1; i+1 < len(os.Args); i += 2 {
		switch os.Args[i] {
		case "--seal":
			config.SealDir = os.Args[i+1]
		case "--rotate-entries":
			fmt.Sscan(os.Args[i+1], &config.RotateEntries)
		case "--rotate-ms":
			fmt.Sscan(os.Args[i+1], &config.RotateMs)
		}
	}
	conn, err := CoreConn()
	if err == nil {
		err = os.WriteFile(os.Getenv(coreVariable), []byte(strconv.Itoa(os.Getpid())), 0o600)
	}
	if err == nil {
		err = ServeCore(context.Background(), conn, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "core:", err)
		return 1
	}
	return 0
}

const issuerName = "https://issuer.example"

// world is a vault with its issuer.
type world struct {
	t       testing.TB
	config  Config
	policy  wire.Policy
	issuer  *issuer.Issuer
	vault   *Vault
	stop    func()
	outcome chan error
}

// both runs a test with the core in this process, and in one of its own.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("in-process", func(t *testing.T) { test(t, newWorld(t, nil)) })
	t.Run("process", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("not on this system: see errNoProcess")
		}
		t.Setenv(coreVariable, filepath.Join(t.TempDir(), "pid"))
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		test(t, newWorld(t, []string{program}))
	})
}

func newWorld(t testing.TB, command []string) *world {
	w := &world{t: t, config: Config{Dir: filepath.Join(t.TempDir(), "vault"), Command: command}}
	var err error
	if w.issuer, err = issuer.Open(filepath.Join(t.TempDir(), "issuer"), issuerName); err != nil {
		t.Fatal(err)
	}
	w.policy = wire.DefaultPolicy()
	w.policy.Restart, w.policy.CooldownMs = wire.RestartTrustDisk, 0
	w.policy.Issuer, w.policy.CoreAudience, w.policy.GatewayAudience = issuerName, "core", "gateway"
	for _, k := range w.issuer.Keys() {
		w.policy.TokenKeys = append(w.policy.TokenKeys, wire.TokenKey{ID: k.ID, Algorithm: wire.EdDSA, Public: k.Public})
	}
	return w
}

func (w *world) create() {
	w.t.Helper()
	if err := Create(w.t.Context(), w.config, &w.policy); err != nil {
		w.t.Fatal(err)
	}
}

// start opens and runs the vault until halt or the test's end, and waits until it serves.
func (w *world) start() {
	w.t.Helper()
	if err := w.tryStart(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.vault.Ready(w.t.Context()); err != nil {
		w.t.Fatalf("%v, %v", err, w.halt())
	}
}

func (w *world) tryStart() (err error) {
	if w.vault, err = Open(w.config); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	v, outcome := w.vault, make(chan error, 1)
	go func() { outcome <- v.Run(ctx) }()
	w.stop = sync.OnceFunc(cancel)
	w.outcome = outcome
	w.t.Cleanup(func() { _ = w.halt() })
	return nil
}

// halt stops the vault in order and returns what Run returned, nil the next time.
func (w *world) halt() error {
	if w.stop == nil {
		return nil
	}
	w.stop()
	w.stop = nil
	return <-w.outcome
}

func (w *world) restart() {
	w.t.Helper()
	if err := w.halt(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// killCore kills the core's process.
func (w *world) killCore() {
	w.t.Helper()
	text, err := os.ReadFile(os.Getenv(coreVariable))
	if err != nil {
		w.t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		w.t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		w.t.Fatal(err)
	}
}

// transport is the way to the vault without a network.
type transport struct{ v *Vault }

func (t transport) Call(ctx context.Context, b []byte) ([]byte, error) { return t.v.Handle(ctx, b) }
func (t transport) Descriptor(ctx context.Context) ([]byte, error)     { return t.v.Descriptor(ctx) }

type tokens struct {
	i       *issuer.Issuer
	account string
	role    token.Role
}

func (t tokens) Token(_ context.Context, audience string) (string, error) {
	return t.i.Token(t.account, t.role, audience), nil
}

func (w *world) client(account string) *recovery.Client { return w.clientAs(account, token.Primary) }

func (w *world) clientAs(account string, role token.Role) *recovery.Client {
	w.t.Helper()
	raw, err := w.vault.Descriptor(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := wire.ParseDescriptor(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := recovery.New(recovery.Config{
		Descriptor: d, Account: wire.NewAccountID(issuerName, account),
		Transport: transport{w.vault}, Tokens: tokens{w.issuer, account, role},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) register(account, pass string, k *[32]byte) wire.RegistrationID {
	w.t.Helper()
	id, _, err := w.client(account).Register(w.t.Context(), k, pass, recovery.RegisterOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) status(account string) *wire.StatusAnswer {
	w.t.Helper()
	s, err := w.client(account).Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) guessesLeft(account string) int {
	w.t.Helper()
	s := w.status(account)
	if len(s.Registrations) != 1 {
		w.t.Fatalf("%s has %d registrations", account, len(s.Registrations))
	}
	return int(s.Registrations[0].GuessesLeft)
}

func isWrong(err error) bool {
	var wrong *recovery.WrongPassword
	return errors.As(err, &wrong)
}
