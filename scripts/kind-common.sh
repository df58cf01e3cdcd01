# shellcheck shell=bash
# What kind-up and kind-down share: messages, what they need, and which cluster is theirs.
#
# A cluster is theirs when its node is the container whose ID kind-up noted. A cluster of the same name that somebody
# made otherwise is neither used nor deleted.

# shellcheck source=scripts/cluster-versions.env
. "$(dirname "${BASH_SOURCE[0]}")/cluster-versions.env"
unset KIND_EXPERIMENTAL_PROVIDER # kind's first choice is docker, and docker is asked about the node

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# use_cluster NAME: sets what follows from a cluster's name.
use_cluster() {
  # kind's own rule; here a name is part of a path, too.
  [[ $1 =~ ^[a-z0-9.-]+$ && $1 != [.-]* ]] || die "--name $1: lower-case letters, digits, '-' and '.' only"
  name=$1
  node=$name-control-plane
  state=${XDG_STATE_HOME:-$HOME/.local/state}/lmcache-kserve/clusters/$name
  export KUBECONFIG=$state/kubeconfig
}

# require TOOL...: what is missing is said at once, with where to get it.
require() {
  local tool missing='' answer
  for tool; do
    command -v "$tool" >/dev/null || missing+=$'\n'"  $(where_to_get "$tool")"
  done
  [[ -z $missing ]] || die "missing:$missing"
  answer=$(docker info 2>&1 >/dev/null) || die "docker does not reach its daemon: ${answer:-start it}"
}

where_to_get() {
  case $1 in
    docker) echo "docker: https://docs.docker.com/engine/install/" ;;
    kind) echo "kind $KIND_VERSION: https://kind.sigs.k8s.io/docs/user/quick-start/#installation" \
      "or go install sigs.k8s.io/kind@$KIND_VERSION" ;;
    kubectl) echo "kubectl: https://kubernetes.io/docs/tasks/tools/#kubectl" ;;
    *) echo "$1, Helm 3.17 or newer: https://helm.sh/docs/intro/install/ or a binary named in LMCACHE_KSERVE_HELM" ;;
  esac
}

# Reads all that kind lists before it looks: a `grep -q` at its end would close the pipe on a kind that still writes, and
# with pipefail the cluster would count as absent.
exists() {
  local listed
  listed=$(kind get clusters --quiet) || die "kind does not list its clusters"
  grep -qxF "$name" <<<"$listed"
}

ours() {
  local id
  id=$(docker container inspect --format '{{.Id}}' "$node" 2>/dev/null) &&
    [[ -f $state/node && $id == "$(<"$state/node")" ]]
}
