#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the kernel holds of the host after 1,000 guest processes, compared with after 100: descriptors,
# mappings and processes.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/lib/tap.sh"
cd "$OUT/hostile" || exit 1

# A batch at each line of input: 100 processes; "all" runs churn with its 1,000, of all kinds.
guest='
	while read -r what; do
		case $what in
		batch)
			i=0
			while [ $i -lt 25 ]; do
				i=$((i + 1))
				$0 true
				(exit 3)
				echo | $0 cat >/dev/null
			done ;;
		churn) ./churn >/dev/null || echo "churn failed" ;;
		esac
		echo "done $what"
	done'
mkfifo "$WORK/in"
exec 6<>"$WORK/in"
: >"$WORK/out"
start_sandbox --timeout 2m -- "$BB" sh -c "$guest" "$BB" <&6 >"$WORK/out"
ok $? "it starts"
ns=$(readlink "/proc/$kernel/ns/pid")

answers=0
answered() { (($(wc -l <"$WORK/out") >= answers)); }
# batches COUNT WHAT: have the guest do that often; then let it come to rest.
batches() {
	local i
	for ((i = 0; i < $1; i++)); do
		answers=$((answers + 1))
		echo "$2" >&6
		until_true 60 answered || note "no answer to $2 after 60 s"
	done
	sleep 1
}
measure() {
	fds=$(find "/proc/$kernel/fd" -mindepth 1 | wc -l)
	maps=$(wc -l <"/proc/$kernel/maps")
	processes=$(in_pid_ns "$ns" | wc -w)
	threads=$(field "$kernel" Threads)
	note "$1: $fds descriptors, $maps mappings, $processes processes, $threads threads"
}
# within NAME BEFORE AFTER MORE
within() {
	(($2 > 0 && $3 <= $2 + $4))
	ok $? "$1" || note "$2 before, $3 after"
}
compare() {
	within "$1: descriptors" "$fds0" "$fds" 8
	within "$1: mappings" "$maps0" "$maps" 16
	within "$1: processes" "$processes0" "$processes" 4
	within "$1: threads" "$threads0" "$threads" 4
}
from_here() { fds0=$fds maps0=$maps processes0=$processes threads0=$threads; }

batches 1 batch
measure "after 100"
from_here
batches 9 batch
measure "after 1,000"
compare "after 1,000 processes"
batches 1 churn
measure "after 1,000 that leave badly"
from_here
batches 2 churn
measure "after 2,000 more"
compare "after 2,000 that leave badly"
[[ $(sort -u "$WORK/out") == $'done batch\ndone churn' ]]
ok $? "all went well inside" || note "$(sort "$WORK/out" | uniq -c)"
kill -TERM "$command"
wait "$command"
is "it ends" $? 143
is "no process is left" "$(in_pid_ns "$ns")" ""
done_testing
