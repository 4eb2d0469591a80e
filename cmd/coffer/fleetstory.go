// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coffer-backup/coffer"
)

// The other demo: several replicas, whose leader dies in the middle of a recovery.

// fleetStory is what happens to her and to the replicas.
type fleetStory struct {
	vaultStory
	program  string
	replicas int
	way      *way // to the vault

	killed  int    // slot
	charged uint64 // guesses, of the recovery
	took    time.Duration
}

func (s *fleetStory) tell() (err error) {
	if s.program, err = findCofferd(); err != nil {
		return err
	}
	s.say("\nSomebody runs a vault of %d replicas; here each is a process of its own:\n\n  $ cofferd dev --replicas %d --cooldown 0s --budget %d", s.replicas, s.replicas, demoBudget)
	s.vault, err = startVault(s.a.ctx, s.program, s.path("vault"), "--listen", "127.0.0.1:0", "--replicas", strconv.Itoa(s.replicas),
		"--cooldown", "0s", "--budget", strconv.Itoa(demoBudget))
	if err != nil {
		return err
	}
	defer s.vault.stop()
	if s.way, err = openWay(s.vault.URL); err != nil {
		return err
	}
	defer s.way.close()
	s.vault.URL = s.way.url
	for _, step := range []func() error{s.setPassword, s.loseThePhone, s.rehearse, s.recoverAllTheSame} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// rehearse makes a wrong guess, whose last message is the one that is charged: so the next recovery is known to be in its middle after as many.
func (s *fleetStory) rehearse() error {
	s.say("\nShe does not remember at once:")
	s.way.restart()
	if err := s.wrong(s.device, "seven brown kettles song"); err != nil {
		return err
	}
	s.way.killAfter(s.way.restart(), s.killLeader)
	return nil
}

func (s *fleetStory) recoverAllTheSame() error {
	before, err := s.serial()
	if err != nil {
		return err
	}
	s.way.restart()
	s.say("\nThen she does. The vault counts the guess and answers, and at this moment its leader dies:\n\n  $ coffer restore --from cloud-2 --to chats-2\n  password: %s", rightPassword)
	began := time.Now()
	r, err := s.device.RecoverKey(s.a.ctx, rightPassword, coffer.RecoverOptions{})
	if err != nil {
		return err
	}
	s.took = time.Since(began)
	r.Key.Wipe()
	if s.killed == 0 {
		return fmt.Errorf("nobody was killed")
	}
	after, err := s.serial()
	if err != nil {
		return err
	}
	if s.charged = after - before; s.charged != 1 {
		return fmt.Errorf("%d guesses were charged, not one", s.charged)
	}
	s.say("  she is in after %s; one guess was charged, once; %d are left again\n", seconds(s.took), r.GuessesLeft)
	return nil
}

// serial is the number of the account's last guess.
func (s *fleetStory) serial() (uint64, error) {
	status, err := s.device.VaultStatus(s.a.ctx)
	return status.Serial, err
}

// killLeader kills the replica that leads the only partition.
func (s *fleetStory) killLeader() error {
	leader, err := s.leader()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.replica(leader), "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	s.say("\n  $ kill -9 %d    replica %d, the leader\n", pid, leader)
	s.killed = leader
	return process.Kill()
}

func (s *fleetStory) replica(slot int) string {
	return filepath.Join(s.path("vault"), "state", fmt.Sprintf("replica-%d", slot))
}

// leader asks the replicas who leads, until one knows.
func (s *fleetStory) leader() (int, error) {
	for slot := 1; slot <= s.replicas; slot++ {
		out, err := exec.CommandContext(s.a.ctx, s.program, "vault", "status", "--json", "--config", filepath.Join(s.replica(slot), "node.toml")).Output()
		if err != nil {
			continue
		}
		var status struct {
			Partitions []struct {
				Leader int `json:"leader"`
			} `json:"partitions"`
		}
		if json.Unmarshal(out, &status) == nil && len(status.Partitions) > 0 && status.Partitions[0].Leader != 0 {
			return status.Partitions[0].Leader, nil
		}
	}
	return 0, fmt.Errorf("no replica knows a leader")
}
