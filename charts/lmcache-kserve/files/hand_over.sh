#!/bin/sh
# Before a node ends: if it is the master, let the Sentinels make a replica the master, so that none is missed.
#
# Environment: that of find_master.sh.
set -eu
# shellcheck source-path=SCRIPTDIR source=find_master.sh
. "$(dirname "$0")/find_master.sh"

here=127.0.0.1:${SELF##*:}
ask "$here" info replication | grep -q '^connected_slaves:[1-9]' || exit 0

for sentinel in $SENTINELS; do
  if [ "$(ask "$sentinel" sentinel failover "$MASTER_NAME")" = OK ]; then
    break
  fi
done
# That Sentinel names the new master from the moment on that it is one, but demotes this node only when the others have
# copied the new one. What is stored here in between is lost, so this node has to end before.
handed_over() {
  named=$(master_of_sentinel "$sentinel")
  [ -n "$named" ] && [ "$named" != "$SELF" ] || ! is_master "$here"
}
# A pod has 30 seconds to end, this included.
deadline=$(($(date +%s) + 15))
until handed_over || [ "$(date +%s)" -ge "$deadline" ]; do
  sleep 1
done
