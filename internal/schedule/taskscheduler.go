// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// WindowsTask is the definition of a task for Windows' Task Scheduler, of which schtasks wants UTF-16; see UTF16. The condition on the
// battery is the scheduler's own there. The date in StartBoundary only has to be in the past.
func (c Command) WindowsTask(p Plan) (string, error) {
	for _, path := range []string{c.program, c.stateDir} {
		if strings.ContainsAny(path, `%"`) || strings.Contains(path, "$(") {
			return "", fmt.Errorf("%w: the Task Scheduler replaces variables in %q, and there is no way to tell it not to; use another folder", ErrName, path)
		}
	}
	var line []string
	for _, argument := range c.arguments() {
		line = append(line, windowsArgument(argument))
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Looks every hour whether a Coffer backup is due.</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <Repetition>
        <Interval>PT1H</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2020-01-01T00:%02d:00</StartBoundary>
      <Enabled>true</Enabled>
      <RandomDelay>PT5M</RandomDelay>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>%t</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%s</Command>
      <Arguments>%s</Arguments>
    </Exec>
  </Actions>
</Task>
`, p.Minute, p.OnlyOnPower, xmlText(c.program), xmlText(strings.Join(line, " "))), nil
}

// windowsArgument quotes a word as CommandLineToArgvW and Go's own start-up read it: backslashes count only before a quote. There
// are no quotes in it.
func windowsArgument(s string) string {
	if !strings.ContainsAny(s, " \t") {
		return s
	}
	trailing := s[len(strings.TrimRight(s, `\`)):]
	return `"` + s + trailing + `"`
}

// UTF16 encodes text with a byte order mark, as schtasks reads it.
func UTF16(text string) []byte {
	units := utf16.Encode([]rune("\uFEFF" + text))
	data := make([]byte, 0, 2*len(units))
	for _, unit := range units {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	return data
}
