#!/usr/bin/env bash
# Looks at every Go module of the repository with gofmt, go vet and
# staticcheck, and at what reaches users with the analyzers of tools/vet too.
# Prints what it finds, and fails if it finds anything.
#
#   scripts/lint.sh TOOLS     TOOLS: the folder that `make tools` fills
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(cd "$1" && pwd)
failed=0

# A check that finds something does not keep the others from looking.
check() { "$@" || failed=1; }

unformatted=$(find . -name '*.go' -not -path './bin/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
  printf 'not formatted by gofmt:\n%s\n' "$unformatted"
  failed=1
fi
check go vet -vettool="$tools/vet" ./...
for mod in $(find . -name go.mod -not -path './bin/*' | sort); do
  dir=$(dirname "$mod")
  check go -C "$dir" vet ./...
  (cd "$dir" && "$tools/staticcheck" ./... | sed "s|^|$dir/|") || failed=1
done
exit "$failed"
