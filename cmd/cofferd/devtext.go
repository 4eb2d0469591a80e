// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/coffer-backup/coffer/wire"
)

// warning says what does not hold.
func warning(restart wire.Restart) string { return fmt.Sprintf(warningText, restartWarnings[restart]) }

var restartWarnings = map[wire.Restart]string{
	wire.RestartTrustDisk: "Restart policy trust-disk: whoever puts an old copy of the folder back     *\n" +
		"  * gets the guesses back that were used since.                                *",
	wire.RestartMajority: "Restart policy majority: once these replicas are stopped as a whole, with  *\n" +
		"  * Ctrl-C, too, what they keep is lost.                                       *",
	wire.RestartCounter: "Restart policy counter: once a majority of these replicas ends in another  *\n" +
		"  * way than by Ctrl-C, what they keep is lost.                                *",
}

const warningText = `
  ******************************************************************************
  * FOR DEVELOPMENT ONLY.                                                      *
  * Software sealing protects nothing against root on this machine, nor        *
  * against anyone who has a copy of the folder.                               *
  * %s
  * The issuer lets everyone on this machine log in as anyone.                 *
  ******************************************************************************

`

func welcome(out io.Writer, s *server, d *wire.Descriptor) error {
	p := d.Policy
	admin := "nowhere; --admin serves them"
	if len(s.edges) > 1 {
		admin = "http://" + s.edges[1].listener.Addr().String() + "/metrics"
	}
	_, err := fmt.Fprintf(out, `The vault serves %s

  folder       %s
  metrics      %s
  fingerprint  %s
  protection   sealed by %s, restart policy %s
  policy       %d guesses, cooldown %s, grace %s
%s
Next, in another terminal:

  coffer login %s --account alice
  coffer init SOURCE --to DESTINATION --password
  coffer backup

and on a device that has lost everything:

  coffer login %s --account alice
  coffer restore --from DESTINATION --to SOURCE

Ctrl-C stops the vault%s.
`, s.url, s.config.dir, admin, d.Fingerprint(), d.Tier, p.Restart, p.Budget, milliseconds(p.CooldownMs), milliseconds(p.GraceMs),
		replicasText(s, d), s.url, s.url, continueText(d))
	return err
}

// replicasText says what people can do with the replicas.
func replicasText(s *server, d *wire.Descriptor) string {
	n := s.config.replicas
	if n == 1 {
		return ""
	}
	folder := filepath.Join(s.config.dir, "replica-")
	return fmt.Sprintf(`  replicas     %d, in %s1 to %s%d; partitions %d

Each replica is a process; its id is in the file pid in its folder. Stop it, kill it, copy it. Look, and start one again:

  cofferd vault status --config %s1/node.toml
  kill -9 $(cat %s%d/pid)
  cofferd vault run --config %s%d/node.toml
`, n, folder, folder, n, d.Policy.Partitions, folder, folder, n, folder, n)
}

func continueText(d *wire.Descriptor) string {
	if d.Policy.Restart == wire.RestartMajority {
		return " for ever: under restart policy majority no replica comes back without the others"
	}
	return "; the same command continues it"
}
