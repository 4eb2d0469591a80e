// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/vault"
)

// The exit codes. They are promised to scripts: a number never changes its meaning.
const (
	codeOK         = 0
	codeFailed     = 1
	codeUsage      = 2
	codeInUse      = 3
	codeNotRunning = 4
)

// exitCodes explains them, in order.
var exitCodes = []string{"done", "failed; the message says why", "the command line or a configuration file is wrong, or does not fit the folder",
	"the folder or the address is in use by another process", "the node is not running"}

func exitCodeText() string {
	var sb strings.Builder
	sb.WriteString("Exit codes:")
	for code, meaning := range exitCodes {
		fmt.Fprintf(&sb, " %d %s.", code, meaning)
	}
	return sb.String()
}

// errInUse means that another process has what this one needs.
var errInUse = errors.New("in use by another process")

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// finish says what went wrong and returns the exit code. It is the one place where errors become codes.
func (a *app) finish(err error) int {
	if err == nil {
		return codeOK
	}
	fmt.Fprintf(a.err, "cofferd: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, settings.ErrInvalid) {
		fmt.Fprintln(a.err, "  See: cofferd --help")
		return codeUsage
	}
	if errors.Is(err, errInUse) || errors.Is(err, vault.ErrLocked) || errors.Is(err, syscall.EADDRINUSE) {
		return codeInUse
	}
	if errors.Is(err, operator.ErrNotRunning) {
		return codeNotRunning
	}
	return codeFailed
}
