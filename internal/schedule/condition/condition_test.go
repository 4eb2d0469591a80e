// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"strings"
	"testing"
	"testing/fstest"
)

// sys makes a tree of files of pairs of name and text.
func sys(pairs ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		tree[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1] + "\n")}
	}
	return tree
}

func supply(name string, pairs ...string) (files []string) {
	for i := 0; i < len(pairs); i += 2 {
		files = append(files, "power_supply/"+name+"/"+pairs[i], pairs[i+1])
	}
	return files
}

func join(lists ...[]string) (all []string) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func TestOnPower(t *testing.T) {
	discharging := supply("BAT0", "type", "Battery", "status", "Discharging", "present", "1")
	for name, test := range map[string]struct {
		files []string
		want  bool
	}{
		"a desktop":                      {nil, true},
		"a desktop with a mouse":         {supply("hidpp_battery_0", "type", "Battery", "status", "Discharging", "scope", "Device"), true},
		"a laptop on battery":            {join(discharging, supply("AC", "type", "Mains", "online", "0")), false},
		"a laptop plugged in":            {join(supply("BAT0", "type", "Battery", "status", "Charging"), supply("AC", "type", "Mains", "online", "1")), true},
		"full, by USB-C":                 {join(supply("BAT0", "type", "Battery", "status", "Full"), supply("ucsi-source-psy-1", "type", "USB", "online", "1")), true},
		"weak charger":                   {join(discharging, supply("AC", "type", "Mains", "online", "1")), true},
		"second battery":                 {join(supply("BAT0", "type", "Battery", "status", "Not charging"), supply("BAT1", "type", "Battery", "status", "Discharging")), false},
		"only a battery, charging":       {supply("battery", "type", "Battery", "status", "Charging"), true},
		"a driver that says nothing":     {supply("BAT0", "type", "Battery", "status", "Unknown"), false},
		"a driver without a status":      {supply("BAT0", "type", "Battery"), false},
		"an empty slot":                  {supply("BAT1", "type", "Battery", "present", "0", "status", "Unknown"), true},
		"a charger with nothing to tell": {join(discharging, supply("AC", "type", "Mains")), false},
	} {
		if got := OnPower(sys(test.files...)); got.OK != test.want || got.OK != (got.Why == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

const (
	routeHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	wifiRoute = "wlp3s0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
	wwanRoute = "wwan0\t00000000\t0102A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
	lanRoute  = "enp0s25\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
	vpnRoute  = "tun0\t00000000\t00000000\t0003\t0\t0\t50\t00000000\t0\t0\t0\n"
	brRoute   = "br0\t00000000\t0102A8C0\t0003\t0\t0\t425\t00000000\t0\t0\t0\n"
	wifiLocal = "wlp3s0\t0002A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n"
	wwan6     = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 000002bc 00000001 00000000 00000003    wwan0\n"
	none6     = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)

var devices = sys(
	"net/wlp3s0/uevent", "DEVTYPE=wlan\nINTERFACE=wlp3s0", "net/wlp3s0/type", "1", "net/wlp3s0/device/uevent", "DRIVER=iwlwifi",
	"net/enp0s25/uevent", "INTERFACE=enp0s25", "net/enp0s25/type", "1", "net/enp0s25/device/uevent", "DRIVER=e1000e",
	"net/wwan0/uevent", "DEVTYPE=wwan\nINTERFACE=wwan0", "net/wwan0/type", "65534", "net/wwan0/device/uevent", "DRIVER=cdc_mbim",
	"net/usb0/uevent", "INTERFACE=usb0", "net/usb0/type", "1", "net/usb0/device/uevent", "DRIVER=rndis_host",
	"net/tun0/uevent", "INTERFACE=tun0", "net/tun0/type", "65534",
	"net/br0/uevent", "DEVTYPE=bridge\nINTERFACE=br0", "net/br0/type", "1", "net/br0/lower_bond0/type", "1",
	"net/bond0/uevent", "DEVTYPE=bond", "net/bond0/lower_enp0s25/type", "1", "net/bond0/lower_bond0/type", "1",
	"net/brphone/uevent", "DEVTYPE=bridge", "net/brphone/lower_enp0s25/type", "1", "net/brphone/lower_usb0/type", "1",
)

func TestOnWifi(t *testing.T) {
	usb := strings.ReplaceAll(lanRoute, "enp0s25", "usb0")
	for name, test := range map[string]struct {
		route, route6 string
		metered       Metered
		want          string // the beginning of the reason; empty for yes
	}{
		"Wi-Fi":                         {wifiRoute + wifiLocal, none6, MeteredUnknown, ""},
		"Wi-Fi, not metered":            {wifiRoute, "", MeteredNo, ""},
		"a phone's hotspot":             {wifiRoute, "", MeteredYes, "the connection is metered"},
		"a cable":                       {lanRoute, "", MeteredUnknown, ""},
		"a modem":                       {wwanRoute, "", MeteredUnknown, "the device is on mobile data"},
		"a modem, whatever is said":     {wwanRoute, "", MeteredNo, "the device is on mobile data"},
		"a modem, IPv6 alone":           {"", wwan6 + none6, MeteredUnknown, "the device is on mobile data"},
		"a phone on a cable":            {usb, "", MeteredUnknown, "the device is on mobile data"},
		"Wi-Fi before a modem":          {wwanRoute + wifiRoute, wwan6, MeteredUnknown, ""},
		"a tunnel over Wi-Fi":           {vpnRoute + wifiRoute, "", MeteredUnknown, ""},
		"a tunnel, Wi-Fi not a default": {vpnRoute + wifiLocal, "", MeteredUnknown, ""},
		"a tunnel over a modem":         {vpnRoute + wwanRoute, "", MeteredUnknown, "the device is on mobile data"},
		"a tunnel over nothing known":   {vpnRoute, "", MeteredUnknown, "it cannot be told"},
		"a bridge on a bond on a cable": {brRoute, "", MeteredUnknown, ""},
		"a bridge with a phone in it":   {strings.ReplaceAll(brRoute, "br0", "brphone"), "", MeteredUnknown, "the device is on mobile data"},
		"nothing":                       {"", none6, MeteredUnknown, "there is no network"},
		"nonsense":                      {"a b\n" + strings.Repeat("x ", 20) + "\n", "\x00\n", MeteredUnknown, "there is no network"},
		"a name with slashes":           {strings.ReplaceAll(lanRoute, "enp0s25", "../x"), "", MeteredUnknown, "it cannot be told"},
	} {
		got := OnWifi(sys("route", routeHead+test.route, "ipv6_route", test.route6), devices, test.metered)
		if got.OK != (test.want == "") || !strings.HasPrefix(got.Why, test.want) {
			t.Errorf("%s: %+v, want %q", name, got, test.want)
		}
	}
}

// The kernel's tables are text of its own; nothing in them may stop the program.
func FuzzOnWifi(f *testing.F) {
	f.Add(wifiRoute, none6)
	f.Add(vpnRoute+brRoute, wwan6)
	f.Fuzz(func(t *testing.T, route, route6 string) {
		got := OnWifi(sys("route", routeHead+route, "ipv6_route", route6), devices, MeteredUnknown)
		if got.OK == (got.Why != "") {
			t.Errorf("%+v", got)
		}
	})
}
