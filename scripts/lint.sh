#!/usr/bin/env bash
# Looks at every Go module of the repository: formatting, go vet, staticcheck,
# and the analyzers of tools/vet. Prints what it finds and fails if it finds
# anything.
#
#   scripts/lint.sh TOOLS     TOOLS: the folder that `make tools` fills
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(cd "$1" && pwd)
failed=0

unformatted=$(find . -name '*.go' -not -path './bin/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
  printf 'not formatted by gofmt:\n%s\n' "$unformatted"
  failed=1
fi
while read -r mod; do
  (
    cd "$(dirname "$mod")"
    # The first that finds something does not keep the others from looking.
    found=0
    go vet ./... || found=1
    go vet -vettool="$tools/vet" ./... || found=1
    "$tools/staticcheck" ./... || found=1
    exit "$found"
  ) || failed=1
done < <(find . -name go.mod -not -path './bin/*' | sort)
exit "$failed"
