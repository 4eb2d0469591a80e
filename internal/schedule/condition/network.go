// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Metered is what a network manager knows of the connection.
type Metered int

// The answers. A guess counts as knowledge, as the manager's documentation advises.
const (
	MeteredUnknown Metered = iota
	MeteredYes
	MeteredNo
)

// OnWifi tells whether the way out is Wi-Fi or a cable, and nothing that is paid for by the byte: the network manager's word that the
// connection is metered counts against it, and the kernel's tables (/proc/net, /sys/class) must name an interface of such a kind.
func OnWifi(procNet, sysClass fs.FS, metered Metered) Answer {
	if metered == MeteredYes {
		return no("the connection is metered")
	}
	routes := readRoutes(procNet)
	if len(routes) == 0 {
		return no("there is no network")
	}
	// The default route may be a tunnel's, which says nothing; the way below it is in the table too.
	for _, defaults := range []bool{true, false} {
		for _, r := range routes {
			if r.isDefault != defaults {
				continue
			}
			switch kindOf(sysClass, r.device, 0) {
			case local:
				return Answer{OK: true}
			case mobile:
				return no("the device is on mobile data")
			}
		}
	}
	return no("it cannot be told whether the network is Wi-Fi, a cable or mobile data (" + routes[0].device + ")")
}

type route struct {
	device    string
	isDefault bool
	metric    uint64
}

// readRoutes returns the routes of both IP versions, those that the kernel prefers first.
func readRoutes(procNet fs.FS) (routes []route) {
	for line := range strings.Lines(read(procNet, "route")) {
		f := strings.Fields(line) // device, destination, gateway, flags, references, uses, metric, mask, ...
		if len(f) < 8 {
			continue
		}
		if metric, err := strconv.ParseUint(f[6], 10, 32); err == nil && f[0] != "lo" {
			routes = append(routes, route{f[0], f[1] == "00000000" && f[7] == "00000000", metric})
		}
	}
	for line := range strings.Lines(read(procNet, "ipv6_route")) {
		f := strings.Fields(line) // destination, its prefix, source, its prefix, next hop, metric, references, uses, flags, device
		if len(f) < 10 || strings.HasPrefix(f[0], "fe80") || strings.HasPrefix(f[0], "ff") {
			continue
		}
		if metric, err := strconv.ParseUint(f[5], 16, 32); err == nil && f[9] != "lo" {
			routes = append(routes, route{f[9], strings.Trim(f[0], "0") == "" && f[1] == "00", metric})
		}
	}
	slices.SortStableFunc(routes, func(a, b route) int { return int(int64(a.metric) - int64(b.metric)) })
	return routes
}

type kind int

const (
	unknown kind = iota // a tunnel, or what only its driver knows
	local               // Wi-Fi or a cable
	mobile
)

// maxLower bounds how deep devices may lie below each other: a VLAN on a bond on two cables.
const maxLower = 4

const etherType = "1" // ARPHRD_ETHER

func kindOf(sysClass fs.FS, device string, depth int) kind {
	dir := "net/" + device
	if !fs.ValidPath(dir) || strings.Contains(device, "/") {
		return unknown
	}
	devType, driver := uevent(sysClass, dir, "DEVTYPE"), uevent(sysClass, dir+"/device", "DRIVER")
	switch {
	case devType == "wwan", devType == "bluetooth", driver == "rndis_host", driver == "ipheth": // the last are phones on a cable
		return mobile
	case devType == "wlan":
		return local
	case slices.Contains(names(sysClass, dir), "device") && read(sysClass, dir+"/type") == etherType:
		return local
	}
	found := unknown
	for _, name := range names(sysClass, dir) {
		lower, ok := strings.CutPrefix(name, "lower_")
		if !ok || depth == maxLower {
			continue
		}
		switch kindOf(sysClass, lower, depth+1) {
		case mobile:
			return mobile
		case local:
			found = local
		}
	}
	return found
}

// uevent returns one value of a device's uevent file.
func uevent(sysClass fs.FS, dir, key string) string {
	for line := range strings.Lines(read(sysClass, dir+"/uevent")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value
		}
	}
	return ""
}
