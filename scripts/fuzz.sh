#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Usage: scripts/fuzz.sh [TIME]
#
# Runs every fuzz target for TIME, as in go test -fuzztime (default 10s), as many at once as there are processors.
set -euo pipefail
cd "$(dirname "$0")/.."
export fuzztime=${1:-10s}

fuzz() { # file:func FuzzName, as grep prints it; in a process of its own
	set -euo pipefail
	dir=$(dirname "${1%%:*}")
	target=${1#*:func }
	log=$(mktemp)
	trap 'cat "$log"; rm -f "$log"' EXIT # whole, so that targets do not mix
	module=$dir
	until [[ -f $module/go.mod ]]; do module=$(dirname "$module"); done
	# Before Go 1.27 a worker that is busy when the time is over counts as a
	# failure (go.dev/issue/75804). A real one always leaves its input.
	go test -C "$module" -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -parallel 1 "./${dir#"$module"}" >"$log" 2>&1 ||
		{ grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; } || return 1
	# A corpus pattern that matches nothing leaves a target that tests nothing.
	if ! grep -qE 'baseline coverage: 0/[1-9]' "$log"; then
		echo "fuzz: $target in $dir has no seeds" >>"$log"
		return 1
	fi
}
export -f fuzz

targets=$(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort)
if [[ -z $targets ]]; then
	echo "fuzz: found no fuzz target" >&2
	exit 1
fi
xargs -d '\n' -P "$(getconf _NPROCESSORS_ONLN)" -n 1 bash -c 'fuzz "$1"' fuzz <<<"$targets"
echo "fuzz: $(wc -l <<<"$targets") targets, $fuzztime each"
