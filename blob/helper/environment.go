// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"runtime"
	"slices"
	"strings"
)

// passed names what a helper gets of our environment: where its user's configuration and programs are, and how the
// network is reached. What a variable of ours, or of somebody else, may hold is not its business.
var passed = []string{
	"HOME", "PATH", "RCLONE_CONFIG",
	"RCLONE_PASSWORD_COMMAND", // the command that prints the password of an encrypted rclone.conf; not the password
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// passedWindows are needed there to find a home, a temporary folder, and the network at all.
var passedWindows = []string{
	"HOME", "PATH", "RCLONE_CONFIG", "RCLONE_PASSWORD_COMMAND", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "TMP", "PATHEXT", "COMSPEC",
}

// environment picks what a helper gets; all has the form of os.Environ.
func environment(all []string) []string {
	return environmentOn(runtime.GOOS, all)
}

func environmentOn(goos string, all []string) []string {
	picked := []string{} // nil would mean all of ours
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		ok := slices.Contains(passed, name) || strings.HasPrefix(name, "XDG_")
		if goos == "windows" {
			name = strings.ToUpper(name)
			ok = slices.Contains(passedWindows, name)
		}
		if ok {
			picked = append(picked, variable)
		}
	}
	return picked
}
