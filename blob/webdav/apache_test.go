// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/coffer-backup/coffer/blob/webdav"
)

const (
	testUser     = "someone"
	testPassword = "pass word:ä"
	nobody       = 65534
)

// An apache is a real web server with mod_dav, on this machine alone.
type apache struct {
	url    string // of a folder that it serves, which is there and empty
	folder string // the same in the file system
}

// config leads to a folder below the one that is there.
func (a apache) config(folder string) webdav.Config {
	return webdav.Config{URL: a.url + "/" + folder, User: testUser, Password: testPassword}
}

var apacheConfig = template.Must(template.New("").Parse(`
ServerRoot "{{.Dir}}"
ServerName 127.0.0.1
Listen 127.0.0.1:{{.Port}}
PidFile "{{.Dir}}/pid"
ErrorLog "{{.Dir}}/errors"
LogLevel crit
Mutex file:{{.Dir}} default
{{range $name, $file := .Modules}}LoadModule {{$name}}_module "{{$.Lib}}/mod_{{$file}}.so"
{{end}}
StartServers 1
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot "{{.Dir}}/www"
DavLockDB "{{.Dir}}/locks"
Header always set X-Test "apache"
<Directory "{{.Dir}}/www">
	Dav On
	AuthType Basic
	AuthName test
	AuthUserFile "{{.Dir}}/users"
	Require valid-user
</Directory>
`))

// startApache ends the test where Apache is not installed; scripts/setup.sh test installs it.
func startApache(t *testing.T) apache {
	t.Helper()
	binary, err := exec.LookPath("apache2")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/apache2"); err != nil {
			t.Fatal("apache2 is missing: run scripts/setup.sh test")
		}
	}
	dir := t.TempDir()
	users := fmt.Sprintf("%s:%s\n", testUser, shaPassword(testPassword))
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o644),
		os.MkdirAll(filepath.Join(dir, "www", "dav folder"), 0o777),
		os.Chmod(filepath.Join(dir, "www", "dav folder"), 0o777),
		os.Chmod(filepath.Join(dir, "www"), 0o777),
		os.Chmod(dir, 0o777),
		os.Chmod(filepath.Dir(dir), 0o755), // Apache may run as another user than the test
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if port, ok := tryApache(t, binary, dir); ok {
			return apache{fmt.Sprintf("http://127.0.0.1:%d/dav%%20folder", port), filepath.Join(dir, "www", "dav folder")}
		}
	}
	errors, _ := os.ReadFile(filepath.Join(dir, "errors"))
	t.Fatalf("apache2 does not start: %s", errors)
	return apache{}
}

// tryApache starts it on a port that was free a moment ago. It fails if that is taken again.
func tryApache(t *testing.T, binary, dir string) (port int, ok bool) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = free.Addr().(*net.TCPAddr).Port
	free.Close()

	modules := map[string]string{}
	for _, name := range []string{"mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs", "headers"} {
		modules[name] = name
	}
	var config bytes.Buffer
	if err := apacheConfig.Execute(&config, map[string]any{
		"Dir": dir, "Port": port, "Lib": "/usr/lib/apache2/modules", "Modules": modules,
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, config.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-D", "FOREGROUND", "-f", file)
	cmd.Dir = dir
	ofItsOwn(cmd)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // so that it waits for its own processes
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			killAll(cmd)
			<-exited
		}
		exited <- nil
	})
	for {
		select {
		case err := <-exited:
			exited <- err
			t.Logf("apache2 ended: %v: %s", err, output.String())
			return 0, false
		case <-time.After(10 * time.Millisecond):
		}
		if resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)); err == nil {
			resp.Body.Close()
			return port, resp.Header.Get("X-Test") == "apache"
		}
	}
}
