// SPDX-License-Identifier: Apache-2.0

//go:build !sabotage

package sim

import (
	"os"
	"os/exec"
	"testing"
)

// TestSabotageIsFound runs TestSabotage in a build in which the core's rules can be left out.
func TestSabotageIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs another test binary")
	}
	command := exec.Command("go", "test", "-tags", "sabotage", "-run", "^TestSabotage$", "-v", ".")
	command.Env = os.Environ()
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
