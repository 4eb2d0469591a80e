// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// runMain makes the test's own binary the program: in the processes that tests start, and in the cores that those start.
const runMain = "COFFERD_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" || len(os.Args) > 1 && os.Args[1] == "core" { // or a core that a test has started would start all tests
		main()
	}
	os.Exit(m.Run())
}

// process is a cofferd in a process of its own.
type process struct {
	*exec.Cmd
	out   string // file
	err   string // file
	ended chan struct{}
}

// start does not use pipes: a core would hold them open, and waiting for the host would be waiting for the core.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startAs(t, func(*exec.Cmd) {}, args...)
}

// startAs lets prepare change what is started.
func startAs(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{Cmd: exec.Command(os.Args[0], args...), out: filepath.Join(dir, "out"), err: filepath.Join(dir, "err"), ended: make(chan struct{})}
	p.Env = append(os.Environ(), runMain+"=1", "GORACE=atexit_sleep_ms=0")
	stdout, stderr := must(os.Create(p.out))(t), must(os.Create(p.err))(t)
	defer stdout.Close()
	defer stderr.Close()
	p.Stdout, p.Stderr = stdout, stderr
	prepare(p.Cmd)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%v said:\n%s%s", args, p.said(p.out), p.said(p.err))
		}
	})
	return p
}

func (p *process) said(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

// code waits for the end and returns the exit code.
func (p *process) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	return p.ProcessState.ExitCode()
}

// patience is for machines that are busy; no test waits so long for what works.
const patience = 2 * time.Minute

// until polls: what happens in another process tells nobody here.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// dev is a running cofferd dev.
type dev struct {
	*process
	url, ready string
}

func startDev(t *testing.T, dir string, args ...string) *dev {
	t.Helper()
	d := &dev{ready: filepath.Join(t.TempDir(), "ready")}
	d.process = start(t, append([]string{"dev", "--dir", dir, "--listen", "127.0.0.1:0", "--ready-file", d.ready}, args...)...)
	until(t, "it serves", func() bool {
		select {
		case <-d.ended:
			t.Fatalf("it ended with code %d: %s", d.ProcessState.ExitCode(), d.said(d.err))
		default:
		}
		text, err := os.ReadFile(d.ready)
		d.url = strings.TrimSpace(string(text))
		return err == nil
	})
	return d
}

// get returns the status of a URL, 0 if nobody answers.
func get(t *testing.T, url string) int {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))(t)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// login is a device of an account, with the client that devices have.
func login(t *testing.T, url, account string) *recovery.Client {
	t.Helper()
	target := must(newTarget(t.Context(), url))(t)
	tokens := must(target.login(t.Context(), account))(t)
	transport := must(recovery.NewHTTP(recovery.HTTPConfig{URL: url, Tokens: tokens, Audience: target.fleet.Policy.GatewayAudience}))(t)
	return must(recovery.New(recovery.Config{
		Descriptor: target.fleet, Account: wire.NewAccountID(target.fleet.Policy.Issuer, account), Transport: transport, Tokens: tokens,
	}))(t)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// openHere opens a server in this process, with the core in it.
func openHere(t *testing.T, dir string, policy policyFlags) (*server, error) {
	t.Helper()
	return openServer(serverConfig{dir: dir, listen: "127.0.0.1:0", replicas: 1, limits: unlimited(), policy: policy, logger: newLogger(t.Output(), 0)})
}

// serveHere serves until the context that it gives to use ends, which is when use returns.
func serveHere(t *testing.T, s *server, use func(ctx context.Context, d *wire.Descriptor)) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, ended := make(chan *wire.Descriptor, 1), make(chan error, 1)
	go func() { ended <- s.run(ctx, func(d *wire.Descriptor) error { ready <- d; return nil }) }()
	select {
	case d := <-ready:
		use(ctx, d)
		stop()
		return <-ended
	case err := <-ended:
		return err
	}
}
