#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Usage: scripts/fuzz.sh [TIME]
#
# Runs every fuzz target for TIME, as in go test -fuzztime (default 10s).
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-10s}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

fuzz() { # folder, target
	# A corpus pattern that matches nothing leaves a target that tests nothing.
	if ! go test -run "^$2\$" -v "$1" >"$log" || ! grep -q -- "--- PASS: $2/" "$log"; then
		cat "$log"
		echo "fuzz: $2 in $1 fails on its seeds, or has none" >&2
		return 1
	fi
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" "$1" 2>&1 | tee "$log" && return
	# Before Go 1.27 a worker that is busy when the time is over counts as a
	# failure (go.dev/issue/75804). A real one always leaves its input.
	grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"
}

targets=0
while IFS=: read -r file target; do
	fuzz "$(dirname "$file")" "${target#func }"
	targets=$((targets + 1))
done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort)

if [[ $targets -eq 0 ]]; then
	echo "fuzz: found no fuzz target" >&2
	exit 1
fi
echo "fuzz: $targets targets, $fuzztime each"
