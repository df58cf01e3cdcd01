#!/bin/sh
# Start a node as what the Sentinels take it for: the master, or a replica of it.
#
# Usage: start_redis.sh SERVER [ARGUMENT ...]
#
# Environment, beside that of find_master.sh:
#   LOSES_DATA         true where a restarted node is empty.
#   HANDOVER_SECONDS   how long an empty master waits for another node to take its place.
set -eu
umask 077
# shellcheck source-path=SCRIPTDIR source=find_master.sh
. "$(dirname "$0")/find_master.sh"

master=$(find_master)

# A master that is back before the Sentinels have missed it is empty, and its replicas would copy that. So it stays away until
# one of them is master. At the first start there are no replicas, and nothing to wait for.
if [ "$master" = "$SELF" ] && [ "$LOSES_DATA" = true ]; then
  deadline=$(($(date +%s) + HANDOVER_SECONDS))
  while has_replicas && [ "$(master_of_sentinels)" = "$SELF" ] && [ "$(date +%s)" -lt "$deadline" ]; do
    echo "restarted without data: waiting for another node to become master"
    sleep 1
  done
  master=$(find_master)
fi

echo "starting as $([ "$master" = "$SELF" ] && echo master || echo "replica of $master")"
{
  cat /etc/redis-sentinel/redis.conf
  echo
  echo "replica-announce-ip ${SELF%:*}"
  echo "replica-announce-port ${SELF##*:}"
  if [ -n "${REDISCLI_AUTH-}" ]; then
    # No echo: where sh is dash, it reads the backslashes of the password as escapes.
    printf 'requirepass %s\n' "$(quoted "$REDISCLI_AUTH")"
    printf 'masterauth %s\n' "$(quoted "$REDISCLI_AUTH")"
  fi
  if [ "$master" != "$SELF" ]; then
    echo "replicaof ${master%:*} ${master##*:}"
  fi
} >/run/redis/redis.conf

server=$1
shift
exec "$server" /run/redis/redis.conf "$@"
