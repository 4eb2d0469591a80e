#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# The checks that run no test, the cheapest first.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [[ -n $unformatted ]]; then
	printf 'lint: run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi

# Each module: whoever embeds Coffer inherits exactly what its go.mod says.
while IFS= read -r mod; do
	if ! go -C "$(dirname "$mod")" mod tidy -diff; then
		echo "lint: $mod is not tidy; run: go -C $(dirname "$mod") mod tidy" >&2
		exit 1
	fi
done < <(find . -name go.mod -not -path '*/testdata/*')

go vet ./...
go tool -modfile=tools/go.mod staticcheck ./...
# With the settings of the Makefile, so that rclone is compiled once; go test -vet=all there does the rest.
staticcheck=$(go tool -modfile=tools/go.mod -n staticcheck) # built above
(cd coffer-rclone && CGO_ENABLED=0 GOFLAGS="$(go env GOFLAGS) -trimpath" "$staticcheck" ./...)
