#!/bin/sh
# Start a Sentinel that watches the master. What it has learned before is not kept: the other Sentinels, or the nodes, know
# the master, and it learns the rest from them again.
#
# Usage: start_sentinel.sh SERVER [ARGUMENT ...]
#
# Environment, beside that of find_master.sh:
#   QUORUM   Sentinels that have to agree that the master is down.
set -eu
umask 077
# shellcheck source-path=SCRIPTDIR source=find_master.sh
. "$(dirname "$0")/find_master.sh"

master=$(find_master)
echo "watching $master"
{
  cat /etc/redis-sentinel/sentinel.conf
  echo
  echo "sentinel announce-ip ${SELF%:*}"
  echo "sentinel announce-port ${SELF##*:}"
  # The same identity for every pod that takes this place: the others would count a new one as one more, and a majority of
  # all that ever were is hard to find.
  echo "sentinel myid $(printf '%s' "$SELF" | sha1sum | cut -c 1-40)"
  echo "sentinel monitor $MASTER_NAME ${master%:*} ${master##*:} $QUORUM"
  if [ -n "${REDISCLI_AUTH-}" ]; then
    password=$(quoted "$REDISCLI_AUTH")
    # No echo: where sh is dash, it reads the backslashes of the password as escapes.
    printf '%s %s\n' requirepass "$password" "sentinel sentinel-pass" "$password" "sentinel auth-pass $MASTER_NAME" "$password"
  fi
} >/run/redis/sentinel.conf

server=$1
shift
exec "$server" /run/redis/sentinel.conf "$@"
