#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Usage: scripts/setup.sh test|race|bench
#
# Brings what Go's own modules cannot bring. As root on Debian it installs what is
# missing; elsewhere it says what to install, and fails.
set -euo pipefail

if ! command -v go >/dev/null; then
	echo "setup: Go is missing; install the version that go.mod names, or a later one, from https://go.dev/dl" >&2
	exit 1
fi

PATH+=:/usr/sbin # where Debian keeps Apache and sshd

case "${1:-}" in # commands that must be there
test) needs="gcc spin swtpm softhsm2-util apache2 sshd dbus-daemon systemd-analyze" ;; # spin makes C, and gcc a checker of it
race) needs="gcc spin swtpm softhsm2-util apache2 dbus-daemon systemd-analyze" ;;
bench) needs="tar zstd restic" ;;
*)
	echo "usage: scripts/setup.sh test|race|bench" >&2
	exit 2
	;;
esac

# package prints the Debian packages of a command. gcc by itself compiles nothing: the C library's headers are a package of their
# own. systemd starts nothing by itself; openssh-server does where systemd runs.
package() {
	case $1 in
	gcc) echo gcc libc6-dev ;;
	softhsm2-util) echo softhsm2 ;;
	apache2) echo apache2-bin ;;
	sshd) echo openssh-server ;;
	systemd-analyze) echo systemd ;;
	*) echo "$1" ;;
	esac
}

missing=""
for need in $needs; do
	command -v "$need" >/dev/null || missing+=" $(package "$need")"
done
[[ -n $missing ]] || exit 0

if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -qq --no-install-recommends $missing
else
	echo "setup: install what is missing, then try again; on Debian: sudo apt-get install$missing" >&2
	exit 1
fi
