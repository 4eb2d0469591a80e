// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// steps counts what reaches the disk or the TPM, and at one of them ends everything.
type steps struct {
	n, at int
	end   func()
}

func (s *steps) step() {
	if s.n++; s.n == s.at {
		s.end()
	}
}

// steppedFiles takes a step before and after each change of the folder.
type steppedFiles struct {
	files
	steps *steps
}

func (f steppedFiles) Write(name string, data []byte) error {
	f.steps.step()
	defer f.steps.step()
	return f.files.Write(name, data)
}

func (f steppedFiles) Rename(from, to string) error {
	f.steps.step()
	defer f.steps.step()
	return f.files.Rename(from, to)
}

func (f steppedFiles) Remove(name string) error {
	f.steps.step()
	defer f.steps.step()
	return f.files.Remove(name)
}

// steppedDevice takes a step before each command and before each response.
type steppedDevice struct {
	device
	steps *steps
}

func (d steppedDevice) Write(command []byte) (int, error) {
	d.steps.step()
	return d.device.Write(command)
}

func (d steppedDevice) Read(response []byte) (int, error) {
	d.steps.step()
	return d.device.Read(response)
}

func (s *steps) opener(config Config) opener {
	return func(ctx context.Context) (device, bool, error) {
		d, alone, err := config.dial(ctx)
		if err != nil {
			return nil, false, err
		}
		return steppedDevice{d, s}, alone, nil
	}
}

// Variables of a child: what it does, where, and at which step it dies.
const (
	doVariable     = "COFFER_TPM2_DO"
	folderVariable = "COFFER_TPM2_FOLDER"
	deviceVariable = "COFFER_TPM2_DEVICE"
	keyVariable    = "COFFER_TPM2_KEY"
	stepVariable   = "COFFER_TPM2_STEP"
)

// TestChild is what the tests below run in a process of its own, which kills itself in the middle.
func TestChild(t *testing.T) {
	do := os.Getenv(doVariable)
	if do == "" {
		t.Skip("the other tests run it")
	}
	at := must(strconv.Atoi(os.Getenv(stepVariable)))(t)
	dying := &steps{at: at, end: func() {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it is on its way
	}}
	config := Config{Folder: os.Getenv(folderVariable), Device: os.Getenv(deviceVariable)}
	if err := act(t.Context(), do, config, seal.KeyID(os.Getenv(keyVariable)), dying); err != nil {
		t.Fatal(err)
	}
}

func act(ctx context.Context, do string, config Config, id seal.KeyID, s *steps) error {
	opening := folder.Open
	if do == "create" {
		opening = folder.Create
	}
	f, err := opening(config.Folder)
	if err != nil {
		return err
	}
	on, dial := steppedFiles{f, s}, s.opener(config)
	switch do {
	case "create":
		_, err = created(ctx, config, on, dial)
		return err
	case "rebind":
		config.PCRs = []uint{7}
		return rebound(ctx, config, on, dial)
	case "remove":
		return removed(ctx, config, on, dial)
	}
	sealer, err := opened(ctx, config, on, dial)
	if err != nil {
		return err
	}
	switch do {
	case "new key":
		_, err = sealer.NewKey(ctx)
	case "destroy":
		err = sealer.Destroy(ctx, id)
	}
	return err
}

// kills runs a child that dies at each step in turn, and looks at what is left each time, until one gets to the end.
func kills(t *testing.T, do string, config func() (Config, seal.KeyID), check func(Config)) {
	t.Helper()
	stride := 1
	if testing.Short() {
		stride = 5
	}
	for at := 1; ; at += stride {
		c, id := config()
		child := exec.Command(os.Args[0], "-test.run=^TestChild$")
		child.Env = append(os.Environ(), doVariable+"="+do, folderVariable+"="+c.Folder, deviceVariable+"="+c.Device,
			keyVariable+"="+string(id), stepVariable+"="+strconv.Itoa(at))
		out, err := child.CombinedOutput()
		done := err == nil
		if !done && !strings.Contains(err.Error(), "killed") {
			t.Fatalf("step %d: %v\n%s", at, err, out)
		}
		check(c)
		if t.Failed() || done {
			t.Logf("%s: %d steps", do, at)
			return
		}
	}
}

// alive opens a folder after a crash and says whether a key is. It works, or it is gone; another works in any case, nothing
// is left behind in the TPM, and the folder can go on.
func alive(t *testing.T, config Config, id seal.KeyID, sealed []byte, other seal.KeyID, others []byte) bool {
	t.Helper()
	s, err := Open(t.Context(), config)
	if errors.Is(err, ErrBinding) { // a rebind has come through
		config.PCRs = []uint{7}
		s, err = Open(t.Context(), config)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Open(t.Context(), other, others, aad); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("another key: %v", err)
	}
	listed := slices.Contains(must(s.Keys(t.Context()))(t), id)
	if got, err := s.Open(t.Context(), id, sealed, aad); listed && !bytes.Equal(got, secret) {
		t.Errorf("a listed key does not work: %v", err)
	} else if !listed && !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("an absent key: %v", err)
	}
	next := must(s.NewKey(t.Context()))(t)
	if err := s.Destroy(t.Context(), next); err != nil {
		t.Error(err)
	}
	if n := len(must(Indexes(t.Context(), config))(t)); n != 1 {
		t.Errorf("%d indexes", n)
	}
	return listed
}

func TestKilled(t *testing.T) {
	for _, do := range []string{"new key", "destroy", "rebind"} {
		t.Run(do, func(t *testing.T) {
			// Not in parallel: a child of another test has, between fork and exec, our lock in hand.
			tpm := newTPM(t)
			config, s, other, others := made(t, tpm)
			s.Close()
			var id seal.KeyID
			var sealed []byte
			lived, died := 0, 0
			kills(t, do, func() (Config, seal.KeyID) {
				c := config
				s, err := Open(t.Context(), c)
				if errors.Is(err, ErrBinding) {
					c.PCRs = []uint{7}
					if err := Rebind(t.Context(), config); err != nil {
						t.Fatal(err)
					}
					s, err = Open(t.Context(), config)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for _, old := range must(s.Keys(t.Context()))(t) {
					if old != other {
						s.Destroy(t.Context(), old)
					}
				}
				id = must(s.NewKey(t.Context()))(t)
				sealed = must(s.Seal(t.Context(), id, secret, aad))(t)
				return config, id
			}, func(c Config) {
				if alive(t, c, id, sealed, other, others) {
					lived++
				} else {
					died++
				}
			})
			if do == "destroy" && (lived == 0 || died == 0) || do != "destroy" && died != 0 {
				t.Errorf("the key lived %d times and was gone %d times", lived, died)
			}
		})
	}
}

// TestKilledCreate: what a killed Create leaves, another one removes; what a killed Remove leaves, too.
func TestKilledCreate(t *testing.T) {
	tpm := newTPM(t)
	var config Config
	kills(t, "create", func() (Config, seal.KeyID) { config = tpm.config(t); return config, "" }, func(c Config) {
		s, err := Create(t.Context(), c)
		if err != nil { // it was killed with all done
			s, err = Open(t.Context(), c)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if n := len(must(Indexes(t.Context(), c))(t)); n != 1 {
			t.Errorf("%d indexes", n)
		}
		if err := Remove(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
	kills(t, "remove", func() (Config, seal.KeyID) {
		config = tpm.config(t)
		must(Create(t.Context(), config))(t).Close()
		return config, ""
	}, func(c Config) {
		if err := Remove(t.Context(), c); err != nil {
			t.Error(err)
		}
		if n := len(must(Indexes(t.Context(), c))(t)); n != 0 {
			t.Errorf("%d indexes", n)
		}
		must(Create(t.Context(), c))(t).Close()
		Remove(t.Context(), c)
	})
}

// TestPowerLoss: the TPM loses its power at each step of a destroy, and comes back with its sessions gone.
func TestPowerLoss(t *testing.T) {
	tpm := newTPM(t)
	config, s, other, others := made(t, tpm)
	lived, died := 0, 0
	for at, stride := 1, 3; ; at += stride {
		id := must(s.NewKey(t.Context()))(t)
		sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
		loss := &steps{at: at, end: tpm.kill}
		s.dial = loss.opener(config)
		err := s.Destroy(t.Context(), id)
		s.dial = config.dial
		if err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatalf("step %d: %v", at, err)
		}
		if loss.n >= at { // it may have been the last command, which only cleans up
			if _, err := s.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("without power: %v", err)
			}
			tpm.start()
		}
		// The same sealer goes on, and so does a new one.
		must(s.Keys(t.Context()))(t)
		s.Close()
		if alive(t, config, id, sealed, other, others) {
			lived++
		} else {
			died++
		}
		s = must(Open(t.Context(), config))(t)
		if err := s.Destroy(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if loss.n < at {
			break
		}
	}
	s.Close()
	if lived == 0 || died < 2 {
		t.Errorf("the key lived %d times and was gone %d times", lived, died)
	}
}

// TestTwoProcesses: a second process is kept out while the first lives, and let in when it was killed.
func TestTwoProcesses(t *testing.T) {
	tpm := newTPM(t)
	config, s, _, _ := made(t, tpm)
	child := func() (string, error) {
		c := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
		c.Env = append(os.Environ(), doVariable+"=open", folderVariable+"="+config.Folder, deviceVariable+"="+config.Device, stepVariable+"=0")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := child(); err == nil || !strings.Contains(out, seal.ErrInUse.Error()) {
		t.Errorf("a second process: %v\n%s", err, out)
	}
	if _, err := Open(t.Context(), config); !errors.Is(err, seal.ErrInUse) {
		t.Errorf("a second opener: %v", err)
	}
	s.Close()
	if out, err := child(); err != nil {
		t.Errorf("after the first: %v\n%s", err, out)
	}
	must(Open(t.Context(), config))(t).Close()
}

// TestHangs: a TPM that does not answer keeps a caller no longer than its context, and nothing is lost.
func TestHangs(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	tpm.run.Process.Signal(syscall.SIGSTOP)
	ctx, cancel := context.WithCancel(t.Context())
	s.dial = (&steps{at: 2, end: cancel}).opener(config) // when it waits for the first response
	if err := s.Destroy(ctx, id); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.dial = config.dial
	tpm.run.Process.Signal(syscall.SIGCONT)
	if got := must(s.Open(t.Context(), id, sealed, aad))(t); !bytes.Equal(got, secret) {
		t.Error("another secret")
	}
}
