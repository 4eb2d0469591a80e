// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"strings"
)

// SystemdService is the text of NAME.service for a user's manager; see systemd.service(5), systemd.exec(5).
//
// What is closed to the run is what a backup never needs. What would give it a mount namespace of its own (ProtectSystem=, PrivateTmp=)
// is not there: a user's manager needs a user namespace for it, in which the keyring's socket and mounted clouds may be out of reach.
func (c Command) SystemdService() (string, error) {
	if strings.ContainsAny(c.program, `"'\`) {
		return "", fmt.Errorf("%w: systemd refuses programs with quotes or backslashes in their path, as in %q; move the program", ErrName, c.program)
	}
	line := systemdProgram(c.program)
	for _, argument := range c.arguments() {
		line += " " + systemdArgument(argument)
	}
	return `[Unit]
Description=Coffer backup, if one is due

[Service]
Type=oneshot
ExecStart=` + line + `
Nice=10
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
`, nil
}

// SystemdTimer is the text of NAME.timer; see systemd.timer(5). Persistent makes up at once for what was missed while the machine was
// off, and the random delay keeps many devices from coming to one destination in the same second.
func (c Command) SystemdTimer(p Plan) string {
	return fmt.Sprintf(`[Unit]
Description=Looks every hour whether a Coffer backup is due

[Timer]
OnCalendar=*-*-* *:%02d:00
Persistent=true
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
`, p.Minute)
}

var (
	systemdEscapes         = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`)
	systemdArgumentEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`)
)

// systemdProgram quotes the first word of a command, in which systemd replaces no variables.
func systemdProgram(s string) string { return `"` + systemdEscapes.Replace(s) + `"` }

func systemdArgument(s string) string { return `"` + systemdArgumentEscapes.Replace(s) + `"` }
