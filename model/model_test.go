// SPDX-License-Identifier: Apache-2.0

package model

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// bounds of a search. Beyond them a search is not complete, and the test fails.
var bounds = []string{"-DMEMLIM=900", "-DSAFETY", "-DNOREDUCE"} // each model is one process: there is no order between processes to reduce

// TestRulesHold searches all that can happen within the bounds of each row, under all rules.
func TestRulesHold(t *testing.T) {
	notShort(t)
	for _, test := range []struct{ name, file, defines string }{
		{"a boot, step by step", "incarnation.pml", "BOOTS=1 CHARGES=1 WINDOW=2 ENTRIES=9"},
		{"a boot in the first leader's slot, and two leaders more", "incarnation.pml", "BOOTS=1 FIRST=0 TERMS=3 CHARGES=0 WINDOW=1 ENTRIES=9 ONE_STEP"},
		{"boots in two slots", "incarnation.pml", "BOOTS=2 CHARGES=0 WINDOW=2 ENTRIES=9 ONE_STEP"},
		{"guesses of an owner and a thief", "guess.pml", "ELEMENTS=4"},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other: each takes up to 700 MB
			out := search(t, test.file, test.defines, []string{"-O1"}, "-w24", "-m100000")
			for _, incomplete := range []string{"violated", "max search depth too small", "Search not completed", "truncated"} {
				if strings.Contains(out, incomplete) {
					t.Fatalf("%s:\n%s", incomplete, out)
				}
			}
			if !strings.Contains(out, "errors: 0") {
				t.Fatalf("the search did not end well:\n%s", out)
			}
			t.Log(stored.FindString(out))
		})
	}
}

// TestSabotageIsFound leaves one rule out at a time. The search is for one property, so that it cannot end at another, and goes by breadth: its
// trail is as short as any. README.md tells the stories.
func TestSabotageIsFound(t *testing.T) {
	notShort(t)
	for _, test := range []struct{ sabotage, file, defines, finds string }{
		{"NO_ADMISSION", "incarnation.pml", "BOOTS=1", "ONE_LEADER INV_BUDGET"},
		{"OLD_ID", "incarnation.pml", "BOOTS=1", "INV_BUDGET"},
		{"NO_BINDING", "incarnation.pml", "BOOTS=2 SECOND=1 CHARGES=0 ONE_STEP", "INV_INCARNATION INV_BUDGET"},
		{"TWO_CHANGES", "incarnation.pml", "BOOTS=1 CHARGES=0 ONE_STEP", "AGREEMENT INV_BUDGET"},
		{"PROMOTE_BEFORE_REMOVE", "incarnation.pml", "BOOTS=1 CHARGES=0 ONE_STEP", "INV_INCARNATION"},
		{"EVALUATE_FIRST", "incarnation.pml", "BOOTS=1", "INV_BUDGET"},

		{"EVALUATE_FIRST", "guess.pml", "", "INV_COMMIT"},
		{"NO_SERIAL", "guess.pml", "", "HONEST"},
		{"NO_DIGEST", "guess.pml", "", "INV_BUDGET"},
		{"CHARGE_REPEATS", "guess.pml", "", "HONEST"},
		{"DESTROY_BEFORE_SERIAL", "guess.pml", "", "HONEST"},
		{"TRUST_FIRST_ANSWER", "guess.pml", "", "HONEST"},
		{"PROVE_OLD", "guess.pml", "", "INV_BUDGET"},
		{"REFILL_ALL", "guess.pml", "BUDGET=1 OWN=1 ELEMENTS=4", "INV_BUDGET"},
		{"CONFIRM_REFILLS", "guess.pml", "", "INV_BUDGET"},
		{"GUESS_PENDING", "guess.pml", "", "INV_PENDING"},
		{"ONE_PHASE", "guess.pml", "", "INV_PENDING"},
		{"NO_TICKET", "guess.pml", "", "INV_DESTROYED"},
		{"DISPLACE", "guess.pml", "", "INV_PROOF"},
	} {
		for _, property := range strings.Fields(test.finds) {
			t.Run(test.sabotage+"/"+property, func(t *testing.T) {
				t.Parallel()
				defines := test.defines + " " + test.sabotage + " ONLY=" + property + "_"
				out := search(t, test.file, defines, []string{"-O0", "-DBFS"}, "-w20", "-m100000")
				if found := violated.FindStringSubmatch(out); found == nil || found[1] != property {
					t.Fatalf("no violation of %s was found:\n%s", property, out)
				}
			})
		}
	}
}

func notShort(t *testing.T) {
	if testing.Short() {
		t.Skip("no code of ours runs here, so neither the race detector nor a short run has anything to find")
	}
}

var (
	violated = regexp.MustCompile(`(?m)^pan:1: assertion violated (\w+) \(at depth`)
	stored   = regexp.MustCompile(`\d+ states, stored`)
)

// search has spin make a checker of a model and runs it. Its output is what it says.
func search(t *testing.T, file, defines string, cc []string, pan ...string) string {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), source, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-a"}
	for _, d := range strings.Fields(defines) {
		args = append(args, "-D"+d)
	}
	run(t, dir, "spin", append(args, file)...)
	run(t, dir, "gcc", append(append(cc, bounds...), "-w", "-o", "pan", "pan.c")...)
	return run(t, dir, filepath.Join(dir, "pan"), pan...)
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is missing: run scripts/setup.sh test", name)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
