// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// answerTime bounds the wait for a service that the bus would have to start, or that hangs.
const answerTime = 5 * time.Second

// NetworkManager asks the service of that name, over the system bus, whether the connection is metered. Where there is none
// the answer is MeteredUnknown.
func NetworkManager(ctx context.Context) Metered {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return MeteredUnknown
	}
	defer conn.Close()
	var value dbus.Variant
	manager := conn.Object("org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager")
	call := manager.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, "org.freedesktop.NetworkManager", "Metered")
	if call.Store(&value) != nil {
		return MeteredUnknown
	}
	switch value.Value() { // NMMetered
	case uint32(1), uint32(3):
		return MeteredYes
	case uint32(2), uint32(4):
		return MeteredNo
	}
	return MeteredUnknown
}
