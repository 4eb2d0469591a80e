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

case "${1:-}" in # commands, each of the name of its Debian package, but for softhsm2-util, apache2 and sshd
test) needs="gcc spin swtpm softhsm2-util apache2 sshd" ;; # spin makes C, and gcc a checker of it
race) needs="gcc spin swtpm softhsm2-util apache2" ;;
bench) needs="tar zstd restic" ;;
*)
	echo "usage: scripts/setup.sh test|race|bench" >&2
	exit 2
	;;
esac

missing=""
for need in $needs; do
	command -v "$need" >/dev/null || missing+=" $need"
done
[[ -n $missing ]] || exit 0

# gcc by itself compiles nothing: the C library's headers are a package of their own.
[[ $missing != *gcc* ]] || missing+=" libc6-dev"
missing=${missing/softhsm2-util/softhsm2}
missing=${missing/apache2/apache2-bin}
missing=${missing/sshd/openssh-server} # with systemd it also starts a server of the machine's own

if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -qq --no-install-recommends $missing
else
	echo "setup: install what is missing, then try again; on Debian: sudo apt-get install$missing" >&2
	exit 1
fi
