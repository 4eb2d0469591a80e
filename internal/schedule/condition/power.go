// SPDX-License-Identifier: Apache-2.0

package condition

import "io/fs"

// OnPower tells whether the device is on power, from /sys/class. A machine without a battery is; the battery of a
// mouse or a headset is not the machine's. See sysfs-class-power in the kernel's documentation.
func OnPower(sysClass fs.FS) Answer {
	battery, discharging := false, false
	for _, name := range names(sysClass, "power_supply") {
		dir := "power_supply/" + name + "/"
		if read(sysClass, dir+"scope") == "Device" {
			continue
		}
		switch read(sysClass, dir+"type") {
		case "Battery":
			if read(sysClass, dir+"present") == "0" {
				continue
			}
			battery = true
			switch read(sysClass, dir+"status") {
			case "Charging", "Full", "Not charging":
			default: // Discharging, Unknown
				discharging = true
			}
		case "Mains", "USB", "Wireless":
			if online := read(sysClass, dir+"online"); online != "" && online != "0" {
				return Answer{OK: true}
			}
		}
	}
	if battery && discharging {
		return no("the device runs on battery")
	}
	return Answer{OK: true}
}
