// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Label is the name of the launchd agent.
func (c Command) Label() string { return "io.github.coffer-backup." + c.Name() }

// LaunchAgent is the property list of a launchd agent; see launchd.plist(5). launchd starts what was missed in sleep once at wake.
func (c Command) LaunchAgent(p Plan) string {
	var words strings.Builder
	for _, word := range append([]string{c.program}, c.arguments()...) {
		fmt.Fprintf(&words, "\t\t<string>%s</string>\n", xmlText(word))
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>%s</string>
	<key>ProgramArguments</key>
	<array>
%s	</array>
	<key>StartCalendarInterval</key>
	<dict>
		<key>Minute</key>
		<integer>%d</integer>
	</dict>
	<key>ProcessType</key>
	<string>Background</string>
	<key>LowPriorityIO</key>
	<true/>
	<key>Umask</key>
	<integer>63</integer>
</dict>
</plist>
`, xmlText(c.Label()), words.String(), p.Minute)
}

// xmlText escapes what XML can say; NewCommand has refused the rest.
func xmlText(s string) string {
	var sb strings.Builder
	xml.EscapeText(&sb, []byte(s)) // a strings.Builder takes everything
	return sb.String()
}
