#!/usr/bin/env bash
# Runs every fuzz target of the main module for a while, one after the other.
# An input that fails is kept below the package's testdata/fuzz: commit it with
# the fix.
#
#   scripts/fuzz.sh [TIME]     TIME for each target, default 20s
#
# An input that reached something new is made smaller in 100 steps, and not for
# the minute that is the default: large ones would take all of the time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r package dir; do
  { grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go || true; } | sed 's/^func //' | sort -u | while read -r target; do
    echo "$package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$package" </dev/null
  done
done
