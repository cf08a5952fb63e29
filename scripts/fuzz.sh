#!/usr/bin/env bash
# Runs every fuzz target of the main module for a while, one after the other.
# An input that fails is kept below the package's testdata/fuzz: commit it with
# the fix.
#
#   scripts/fuzz.sh [TIME]     TIME for each target, default 20s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r package dir; do
  { grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go || true; } | sed 's/^func //' | sort -u | while read -r target; do
    echo "$package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" </dev/null
  done
done
