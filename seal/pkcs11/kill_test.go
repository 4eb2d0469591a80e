// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bufio"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

var seedFlag = flag.Uint64("pkcs11.seed", 0, "seed of the moments at which a process is killed; 0 for a new one")

// Variables of a child: what it does, where, and before which call to the token it dies.
const (
	doVariable     = "COFFER_PKCS11_DO"
	folderVariable = "COFFER_PKCS11_FOLDER"
	moduleVariable = "COFFER_PKCS11_MODULE"
	keyVariable    = "COFFER_PKCS11_KEY"
	sealedVariable = "COFFER_PKCS11_SEALED"
	stepVariable   = "COFFER_PKCS11_STEP"
)

// TestChild is what the tests below run in a process of its own.
func TestChild(t *testing.T) {
	do := os.Getenv(doVariable)
	if do == "" {
		t.Skip("the other tests run it")
	}
	config := Config{Folder: os.Getenv(folderVariable), Module: os.Getenv(moduleVariable), Token: "node", PIN: says(rightPIN)}
	at := must(strconv.Atoi(os.Getenv(stepVariable)))(t)
	id := seal.KeyID(os.Getenv(keyVariable))
	counting := do == "create" || do == "remove"
	token := &counted{before: func(string) error {
		if !counting {
			return nil
		}
		if at--; at == 0 {
			die()
		}
		return nil
	}}
	enter, set := folder.Open, (*Sealer).open
	switch do {
	case "take":
		if takes(t, config, id, must(hex.DecodeString(os.Getenv(sealedVariable)))(t)) {
			fmt.Println("taken")
		}
		return
	case "create":
		enter, set = folder.Create, (*Sealer).create
	case "remove":
		set = (*Sealer).remove
	}
	s := must(begin(t.Context(), config, token.through, enter, set))(t)
	counting = true
	switch do {
	case "new":
		must(s.NewKey(t.Context()))(t)
	case "destroy":
		if err := s.Destroy(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	case "hold":
		fmt.Println("open")
		select {}
	case "rotate":
		rotate(t, s)
	}
}

func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		self.Kill()
	}
	select {} // it is on its way
}

// rotate tells what it does, for ever.
func rotate(t *testing.T, s *Sealer) {
	for {
		id := must(s.NewKey(t.Context()))(t)
		sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
		fmt.Println("sealed", id, hex.EncodeToString(sealed))
		fmt.Println("destroying", id)
		if err := s.Destroy(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		fmt.Println("destroyed", id)
	}
}

func child(t *testing.T, config Config, do string, step int, key seal.KeyID) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	c.Env = append(os.Environ(), doVariable+"="+do, folderVariable+"="+config.Folder, moduleVariable+"="+config.Module,
		stepVariable+"="+strconv.Itoa(step), keyVariable+"="+string(key))
	return c
}

// killed runs a child that dies before its step-th call, and says whether it did, or came to its end.
func killed(t *testing.T, config Config, do string, step int, key seal.KeyID) bool {
	t.Helper()
	out, err := child(t, config, do, step, key).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() != -1 || err != nil && !ok {
		t.Fatalf("%s %d: %v\n%s", do, step, err, out)
	}
	return err != nil
}

func TestTwoProcesses(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, id, sealed := made(t, config)
	s.Close()
	holder := child(t, config, "hold", 0, "")
	said := must(holder.StdoutPipe())(t)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line := must(bufio.NewReader(said).ReadString('\n'))(t); line != "open\n" {
		t.Fatal(line)
	}
	// It is the folder that tells, before any PIN is given to the token.
	config.PIN = func() ([]byte, error) { t.Error("asked for a PIN"); return nil, errors.New("no") }
	if _, err := Open(t.Context(), config); !errors.Is(err, seal.ErrInUse) {
		t.Errorf("%v", err)
	}
	holder.Process.Kill()
	holder.Wait()
	config.PIN = says(rightPIN)
	s = must(Open(t.Context(), config))(t)
	defer s.Close()
	opens(t, s, id, sealed)
}

// TestKilledBetweenCalls kills a process before each call to the token that NewKey and Destroy make.
func TestKilledBetweenCalls(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, other, others := made(t, config)
	for _, do := range []string{"new", "destroy"} {
		for step, dies := 1, true; dies; step++ {
			id := must(s.NewKey(t.Context()))(t)
			sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
			s.Close()
			dies = killed(t, config, do, step, id)

			s = must(Open(t.Context(), config))(t)
			opens(t, s, other, others)
			ids := must(s.Keys(t.Context()))(t)
			if do == "new" || slices.Contains(ids, id) {
				opens(t, s, id, sealed)
			} else {
				refuses(t, s, id, sealed, seal.ErrNoKey)
			}
			if do == "destroy" && !dies && slices.Contains(ids, id) {
				t.Error("destroyed, and there")
			}
			// As a core does at its start.
			for _, left := range ids {
				if left != other {
					if err := s.Destroy(t.Context(), left); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := hsm.objects(); n != 3 {
				t.Errorf("%s %d: %d objects", do, step, n)
			}
		}
	}
	s.Close()
}

// TestKilledCreate: what a killed Create or Remove has left is removed by the next one.
func TestKilledCreate(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	for step, dies := 1, true; dies; step++ {
		dies = killed(t, config, "create", step, "")
		if dies {
			s, err := Open(t.Context(), config) // it may be that only the last step was missing
			if errors.Is(err, ErrUnfinished) {
				s, err = Create(t.Context(), config)
			}
			must(s, err)(t).Close()
		}
		if n := hsm.objects(); n != 2 { // the anchor and the owner
			t.Errorf("create %d: %d objects", step, n)
		}
		if err := Remove(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	for step, dies := 1, true; dies; step++ {
		s, _, _ := made(t, config)
		s.Close()
		dies = killed(t, config, "remove", step, "")
		if err := Remove(t.Context(), config); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if n := hsm.objects(); n != 0 {
			t.Errorf("remove %d: %d objects", step, n)
		}
	}
}

// TestKilledAnywhere kills a process while it rotates keys, inside the token's calls as well as between them.
func TestKilledAnywhere(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-pkcs11.seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, other, others := made(t, config)
	for range 6 {
		s.Close()
		said := rotated(t, config, 1+random.IntN(9))
		s = must(Open(t.Context(), config))(t)
		opens(t, s, other, others)
		for id, sealed := range said.sealed {
			switch {
			case said.destroyed[id]:
				refuses(t, s, id, sealed, seal.ErrNoKey)
			case !said.destroying[id]:
				opens(t, s, id, sealed)
			}
		}
		for _, left := range must(s.Keys(t.Context()))(t) {
			if left != other {
				if err := s.Destroy(t.Context(), left); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s.Close()
}

type story struct {
	sealed                map[seal.KeyID][]byte
	destroying, destroyed map[seal.KeyID]bool
}

// rotated kills a rotating child when it has said that many lines, and returns all that it said.
func rotated(t *testing.T, config Config, lines int) story {
	t.Helper()
	c := child(t, config, "rotate", 0, "")
	out := must(c.StdoutPipe())(t)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := story{map[seal.KeyID][]byte{}, map[seal.KeyID]bool{}, map[seal.KeyID]bool{}}
	n := 0
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if n++; n == lines {
			c.Process.Kill()
		}
		word := strings.Fields(scan.Text())
		switch id := seal.KeyID(word[1]); word[0] {
		case "sealed":
			said.sealed[id] = must(hex.DecodeString(word[2]))(t)
		case "destroying":
			said.destroying[id] = true
		case "destroyed":
			said.destroyed[id] = true
		default:
			t.Fatal(scan.Text())
		}
	}
	c.Wait()
	if n < lines {
		t.Fatalf("the child ended after %d lines", n)
	}
	return said
}
