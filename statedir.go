// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultStateDir returns this user's state directory: $COFFER_HOME if it is
// set, and otherwise what is usual on the system.
func DefaultStateDir() (string, error) {
	if home := os.Getenv("COFFER_HOME"); home != "" {
		return filepath.Abs(home)
	}
	switch runtime.GOOS {
	case "windows":
		if base := os.Getenv("LocalAppData"); base != "" {
			return filepath.Join(base, "coffer"), nil
		}
		return "", fmt.Errorf("%w: neither COFFER_HOME nor LocalAppData is set", ErrState)
	case "darwin", "ios":
		return underHome("Library", "Application Support", "coffer")
	}
	// The XDG base directory specification says to ignore relative paths.
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "coffer"), nil
	}
	return underHome(".local", "state", "coffer")
}

func underHome(elements ...string) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: neither COFFER_HOME nor a home folder is known: %v", ErrState, err)
	}
	return filepath.Join(append([]string{home}, elements...)...), nil
}
