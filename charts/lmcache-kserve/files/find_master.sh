# shellcheck shell=sh
# Who is the master? Sourced by the other scripts of the nodes and Sentinels.
#
# Environment:
#   SELF                this pod as host:port.
#   NODES, SENTINELS    all of them, as host:port, separated by spaces.
#   MASTER_NAME         the Sentinels' name for the master.
#   REDISCLI_AUTH       the password of nodes and Sentinels; none where they have none.

# A file made with an editor ends in a line break, which is no part of a password.
REDISCLI_AUTH=$(printf '%s' "${REDISCLI_AUTH-}")
if [ -n "$REDISCLI_AUTH" ]; then
  export REDISCLI_AUTH
else
  unset REDISCLI_AUTH
fi

# ask HOST:PORT COMMAND...: what it replies, one element a line; nothing where nobody replies.
ask() {
  address=$1
  shift
  timeout 3 redis-cli -h "${address%:*}" -p "${address##*:}" "$@" 2>/dev/null || true
}

# What one Sentinel says; nothing where it does not reply.
master_of_sentinel() {
  ask "$1" sentinel get-master-addr-by-name "$MASTER_NAME" | sed -n 'N;s/\n\([0-9][0-9]*\)$/:\1/p'
}

# What most Sentinels say; nothing where none replies.
master_of_sentinels() {
  for sentinel in $SENTINELS; do
    master_of_sentinel "$sentinel"
  done | sort | uniq -c | sort -rn | sed -n '1s/^ *[0-9]* //p'
}

# The first node that is master by its own account.
master_of_nodes() {
  for node in $NODES; do
    if is_master "$node"; then
      echo "$node"
      break
    fi
  done
}

is_master() {
  ask "$1" info replication | grep -q '^role:master'
}

# Whether a Sentinel knows of replicas of the master.
has_replicas() {
  for sentinel in $SENTINELS; do
    count=$(ask "$sentinel" sentinel master "$MASTER_NAME" | sed -n '/^num-slaves$/{n;p;}')
    if [ "${count:-0}" -gt 0 ]; then
      return 0
    fi
  done
  return 1
}

# Where nobody knows, as at the first start, it is the first node.
find_master() {
  found=$(master_of_sentinels)
  found=${found:-$(master_of_nodes)}
  echo "${found:-${NODES%% *}}"
}

# A text as one argument in a configuration file of Redis.
quoted() {
  printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}
