// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrName means that a folder has a name which a scheduler cannot be given.
var ErrName = errors.New("a scheduler cannot be given this name")

// Command is what a scheduler starts. NewCommand makes it.
type Command struct {
	program, stateDir string
}

// NewCommand takes the absolute paths of the program and of the state directory. It refuses, with ErrName, what not every format of a
// scheduler can say: control characters, and bytes that are not UTF-8.
func NewCommand(program, stateDir string) (Command, error) {
	for _, path := range []string{program, stateDir} {
		// What XML cannot say comes back as utf8.RuneError.
		if path == "" || !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) || strings.ContainsRune(xmlText(path), utf8.RuneError) {
			return Command{}, fmt.Errorf("%w: %q is empty, has control characters or is not UTF-8; use another folder", ErrName, path)
		}
	}
	return Command{program, stateDir}, nil
}

// Name is the same for the same state directory, and differs from those of others. It is of a-z, 0-9 and '-'.
func (c Command) Name() string {
	sum := sha256.Sum256([]byte(c.stateDir))
	return "coffer-backup-" + hex.EncodeToString(sum[:4])
}

func (c Command) arguments() []string {
	return []string{"backup", "--scheduled", "--quiet", "--state", c.stateDir}
}
