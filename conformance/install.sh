#!/usr/bin/env bash
# Installs the registry clients that the conformance tests drive: Debian
# packages, and commands built from the Go module proxy at the versions below.
# What is there already stays; a second run takes a second.
#
#   conformance/install.sh
#
# Commands are built into $BERTH_TOOLS/bin (default ~/.cache/berth-tools/bin),
# where the tests look first. The first run takes 10 to 15 minutes on two
# cores, most of it for helm and cosign.
set -euo pipefail

tools=${BERTH_TOOLS:-$HOME/.cache/berth-tools}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# packages NAME... : Debian packages.
packages() {
  local missing=() p
  for p; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  if [ ${#missing[@]} = 0 ]; then
    say "have $*"
    return
  fi
  apt-cache show "${missing[@]}" >/dev/null 2>&1 || as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
  say "installed ${missing[*]}"
}

# go_command NAME MODULE VERSION PACKAGE : a command of a Go module. It is built
# in a module of its own: some have exclude lines, which go install refuses.
go_command() {
  local name=$1 module=$2 version=$3 package=$4 begin=$SECONDS work
  if go version -m "$tools/bin/$name" 2>/dev/null | grep -qF "$module	$version"; then
    say "have $name $version"
    return
  fi
  work=$(mktemp -d)
  (
    export CGO_ENABLED=0 GOFLAGS='-buildvcs=false -p=2' GOWORK=off
    cd "$work" &&
      go mod init berth.dev/tool &&
      go get "$module@$version" &&
      go build -mod=mod -trimpath -ldflags='-s -w' -o "$work/$name" "$package" &&
      mv "$work/$name" "$tools/bin/$name"
  ) >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    say "FAILED $name $version"
    exit 1
  }
  rm -rf "$work"
  say "built $name $version in $((SECONDS - begin)) s"
}

# docker_command : the command line of Debian's docker, unpacked and not installed, so that
# no engine is started. A docker that is there already serves as well.
docker_command() {
  if [ -x "$tools/bin/docker" ] || command -v docker >/dev/null; then
    say "have docker"
    return
  fi
  local work
  work=$(mktemp -d)
  apt-cache show docker.io >/dev/null 2>&1 || as_root apt-get update -qq
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" docker.io && dpkg-deb -x docker.io_*.deb . && install usr/bin/docker "$tools/bin/docker")
  rm -rf "$work"
  say "unpacked docker"
}

packages skopeo podman runc strace curl
[ -n "$(compgen -G '/usr/lib/postgresql/*/bin/initdb')" ] || packages postgresql
docker_command
go_command crane github.com/google/go-containerregistry v0.22.1 github.com/google/go-containerregistry/cmd/crane
go_command regctl github.com/regclient/regclient v0.11.7 github.com/regclient/regclient/cmd/regctl
go_command regsync github.com/regclient/regclient v0.11.7 github.com/regclient/regclient/cmd/regsync
go_command helm helm.sh/helm/v3 v3.22.0 helm.sh/helm/v3/cmd/helm
go_command cosign github.com/sigstore/cosign/v3 v3.1.3 github.com/sigstore/cosign/v3/cmd/cosign
