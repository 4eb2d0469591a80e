// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// A real bus, with a service on it that has NetworkManager's name and answers as it does.
func TestNetworkManager(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "no-bus"))
	if got := NetworkManager(t.Context()); got != MeteredUnknown {
		t.Errorf("without a bus: %v", got)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", startBus(t))
	if got := NetworkManager(t.Context()); got != MeteredUnknown {
		t.Errorf("without the service: %v", got)
	}
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	properties, err := prop.Export(conn, "/org/freedesktop/NetworkManager", prop.Map{
		"org.freedesktop.NetworkManager": {"Metered": {Value: uint32(0)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName("org.freedesktop.NetworkManager", 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the name cannot be had: %v, %v", reply, err)
	}
	for value, want := range []Metered{MeteredUnknown, MeteredYes, MeteredNo, MeteredYes, MeteredNo, MeteredUnknown} {
		properties.SetMust("org.freedesktop.NetworkManager", "Metered", uint32(value))
		if got := NetworkManager(t.Context()); got != want {
			t.Errorf("%d: %v, want %v", value, got, want)
		}
	}
}

// startBus starts a bus for the test alone and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path="+filepath.Join(t.TempDir(), "bus"))
	bus.Stderr = os.Stderr
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Process.Kill(); bus.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}
