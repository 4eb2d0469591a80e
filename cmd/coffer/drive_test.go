// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
	"github.com/coffer-backup/coffer/destination"
	"github.com/rogpeppe/go-internal/testscript"
)

const fakeGoogle = "COFFER_TEST_GOOGLE"

// useFakeGoogle makes the program under test take the fake for Google.
func useFakeGoogle() {
	if root := os.Getenv(fakeGoogle); root != "" {
		google = destination.Google{Drive: root + "/drive/v3/", Login: oauth.Endpoints{Auth: root + "/auth", Token: root + "/token", Device: root + "/device/code"}}
	}
}

// drives are the fakes that run, one for each script.
type drives struct {
	mu      sync.Mutex
	running map[*testscript.TestScript]*fakedrive.Server
}

func (d *drives) of(ts *testscript.TestScript) *fakedrive.Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	if server := d.running[ts]; server != nil {
		return server
	}
	server, err := fakedrive.Start()
	ts.Check(err)
	ts.Defer(server.Close)
	d.running[ts] = server
	return server
}

// command is what a script does with its Google Drive.
//
//	drive start FILE  the OAuth client is $CLIENT_ID, and the file holds its secret
//	drive testing     logins end after 7 days
//	drive revoke      the user takes back what was allowed
//	drive full        there is no room left
func (d *drives) command(ts *testscript.TestScript, _ bool, args []string) {
	server := d.of(ts)
	switch args[0] {
	case "start":
		ts.Setenv(fakeGoogle, server.URL)
		ts.Setenv("CLIENT_ID", fakedrive.ClientID)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(fakedrive.ClientSecret+"\n"), 0o600))
	case "testing":
		server.Set(func(b *fakedrive.Behaviour) { b.RefreshLifetime = 7 * 24 * time.Hour })
	case "revoke":
		server.Revoke()
	case "full":
		server.Set(func(b *fakedrive.Behaviour) { b.QuotaBytes = 1 })
	default:
		ts.Fatalf("drive does not know %s", args[0])
	}
}

var (
	loginPage = regexp.MustCompile(`^http://127\.0\.0\.1:[0-9]+/auth\?\S+$`)
	loginCode = regexp.MustCompile(`^To approve this device open (\S+) and compare the code: (\S+)$`)
)

// signin CODE ARGS... runs coffer, does what it asks for in a browser, and wants that exit code. What it says is in signin.txt.
func (d *drives) signIn(ts *testscript.TestScript, _ bool, args []string) {
	server := d.of(ts)
	program, err := exec.LookPath("coffer")
	ts.Check(err)
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"HOME", "PATH", "COFFER_HOME", "GORACE", fakeGoogle} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	said, err := cmd.StderrPipe()
	ts.Check(err)
	cmd.Stdout = ts.Stdout()
	ts.Check(cmd.Start())
	var all strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		line := lines.Text()
		all.WriteString(line + "\n")
		if loginPage.MatchString(line) {
			answer, err := http.Get(line)
			ts.Check(err)
			answer.Body.Close()
		}
		if match := loginCode.FindStringSubmatch(line); match != nil && !server.Approve(match[2], true) {
			ts.Logf("no device waits with the code %s", match[2])
		}
	}
	cmd.Wait()
	ts.Logf("%s", all.String())
	ts.Check(os.WriteFile(ts.MkAbs("signin.txt"), []byte(all.String()), 0o600))
	if want, got := args[0], cmd.ProcessState.ExitCode(); want != string(rune('0'+got)) {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}
