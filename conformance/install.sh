#!/usr/bin/env bash
# Installs the registry clients that the conformance tests drive: Debian
# packages, and commands built from the Go module proxy at the versions below.
# What is there already stays; a second run takes a second.
#
#   conformance/install.sh
#
# Commands are built into $BERTH_TOOLS/bin (default ~/.cache/berth-tools/bin),
# where the tests look first. The first run takes 15 to 20 minutes on two
# cores, most of it for helm 3, helm 4 and cosign, and 20 to 40 more for the control plane
# of Kubernetes, unless KUBEBUILDER_ASSETS says where there is one.
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

# kubernetes VERSION : the control plane of Kubernetes, built from the module
# proxy alone: a module that requires it and puts the published modules in the
# place of its own folders, as its go.mod asks for.
kubernetes() {
  local version=$1 begin=$SECONDS work name mod flags staged=v0.${1#v1.}
  if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    say "have Kubernetes in $KUBEBUILDER_ASSETS"
    return
  fi
  if [ "$(cat "$tools/kube/version" 2>/dev/null)" = "$version" ]; then
    say "have Kubernetes $version"
    return
  fi
  work=$(mktemp -d)
  mkdir -p "$tools/kube"
  (
    export CGO_ENABLED=0 GOFLAGS='-buildvcs=false -mod=mod -p=2' GOGC=200 GOWORK=off
    cd "$work" || exit 1
    mod=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
    [ -n "$mod" ] || exit 1
    {
      echo "module berth.dev/kubernetes"
      grep -m1 '^go ' "$mod"
      sed -n '/^godebug/p' "$mod"
      echo "require k8s.io/kubernetes $version"
      sed -n "s#^\t\(k8s.io/[a-z-]*\) => ./staging/.*#replace \1 => \1 $staged#p" "$mod"
    } >go.mod
    printf '//go:build tools\n\npackage tools\n\nimport (\n\t_ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n\t_ "k8s.io/kubernetes/cmd/kube-controller-manager/app"\n)\n' >tools.go
    go mod tidy || exit 1
    flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1"
    flags="$flags -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
    for name in kube-apiserver kube-controller-manager; do
      go build -trimpath -o "$work/$name" -ldflags "$flags" "k8s.io/kubernetes/cmd/$name" && mv "$work/$name" "$tools/kube/$name" || exit 1
    done
  ) >"$work/log" 2>&1 || {
    tail -50 "$work/log" >&2
    say "FAILED Kubernetes $version"
    exit 1
  }
  echo "$version" >"$tools/kube/version"
  rm -rf "$work"
  say "built Kubernetes $version in $((SECONDS - begin)) s"
}

packages skopeo podman runc strace curl jq
command -v etcd >/dev/null || packages etcd-server
[ -n "$(compgen -G '/usr/lib/postgresql/*/bin/initdb')" ] || packages postgresql
docker_command
go_command crane github.com/google/go-containerregistry v0.22.1 github.com/google/go-containerregistry/cmd/crane
go_command regctl github.com/regclient/regclient v0.11.7 github.com/regclient/regclient/cmd/regctl
go_command regsync github.com/regclient/regclient v0.11.7 github.com/regclient/regclient/cmd/regsync
go_command helm helm.sh/helm/v3 v3.22.0 helm.sh/helm/v3/cmd/helm
go_command registry github.com/distribution/distribution/v3 v3.1.2 github.com/distribution/distribution/v3/cmd/registry
go_command helm4 helm.sh/helm/v4 v4.3.1 helm.sh/helm/v4/cmd/helm
go_command cosign github.com/sigstore/cosign/v3 v3.1.3 github.com/sigstore/cosign/v3/cmd/cosign
kubernetes v1.36.3
