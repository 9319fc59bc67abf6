#!/bin/sh
# Says whether a folder in memory can hold the servers of a test run: lab/has_fast_room.sh FOLDER
# Programs must run from there, and 8 GB be free in it, in the machine and under the limit of a container.
set -eu
wanted=8000000
[ -w "$1" ] || exit 1
[ "$(df -Pk "$1" | awk 'NR == 2 { print $4 }')" -ge "$wanted" ] || exit 1
[ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -ge "$wanted" ] || exit 1
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
[ "$limit" = max ] || [ "$((limit / 1000))" -ge $((2 * wanted)) ] || exit 1
program=$(mktemp "$1/warmstandby-XXXXXX")
trap 'rm -f "$program"' EXIT
printf '#!/bin/sh\n' >"$program"
chmod +x "$program"
"$program" 2>/dev/null
