// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"strings"
)

// CrontabLine is the line of a crontab, for systems without a scheduler that we know; see crontab(5).
func (c Command) CrontabLine(p Plan) string {
	words := []string{fmt.Sprintf("%d * * * *", p.Minute)}
	for _, word := range append([]string{c.program}, c.arguments()...) {
		// cron takes % for the end of the line whatever the shell thinks of it, unless there is a backslash before it.
		words = append(words, strings.ReplaceAll(shellWord(word), "%", `\%`))
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word for a POSIX shell, unless it is plain.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
