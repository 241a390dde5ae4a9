#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Hostile guests: they come to an end in time, the kernel does not, another guest process in the same
# sandbox works on, and no process is left. SEEDS are those of the random ones.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/lib/tap.sh"
SEEDS=${SEEDS:-1 2}
if [[ $SEEDS =~ ^([0-9]+)\.\.([0-9]+)$ ]]; then
	SEEDS=$(seq "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")
fi
LIMIT=${LIMIT:-100} # seconds
cd "$OUT/hostile" || exit 1

# The first process: beside the hostile one a witness forks and counts, and must do so after it too.
guest='
	(while :; do $0 true && echo tick >>/tmp/witness.$$; $0 sleep 0.05; done) &
	witness=$!
	ticks() { $0 wc -l </tmp/witness.$$; }
	"$@"
	status=$?
	before=$(ticks)
	i=0
	while [ "$(ticks)" -lt $((before + 3)) ] && [ $i -lt 100 ]; do
		i=$((i + 1))
		$0 sleep 0.1
	done
	kill -0 $witness && [ $i -lt 100 ] && echo "the witness works on"
	kill $witness
	echo "hostile status $status"
	exit 0'

ended() { ! alive "$command"; }
empty() { [[ -z $(in_pid_ns "$ns") ]]; }
# attack NAME COMMAND...
attack() {
	local name=$1 why='' start=$SECONDS
	shift
	start_sandbox --timeout "${LIMIT}s" -- "$BB" sh -c "$guest" "$BB" "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null || why+="did not start; "
	ns=$(readlink "/proc/$kernel/ns/pid")
	if until_true $((LIMIT + 5)) ended; then
		wait "$command"
		status=$?
	else
		why+="no end $((SECONDS - start)) s after the start; "
		status=none
		kill -9 "$command"
	fi
	[[ $status == 0 ]] || why+="exit status $status; "
	grep -q "^the witness works on" "$WORK/out" || why+="the witness does not work on; "
	grep -q "^hostile status 0" "$WORK/out" || why+="$(grep '^hostile status' "$WORK/out"); "
	grep -q "^not ok" "$WORK/out" && why+="it did harm; "
	grep -Eiq "kernel process died|panic|BUG" "$WORK/err" && why+="the kernel died; "
	[[ -z $ns ]] || until_true 2 empty || why+="left: $(in_pid_ns "$ns" | paste -sd ' ')"
	[[ -z $why ]]
	ok $? "$name" || note "$why"$'\n'"$(grep -v '^ok' "$WORK/out")"$'\n'"$(tail -n 15 "$WORK/err")"
}

for seed in $SEEDS; do
	attack "randcall $seed" ./randcall "$seed" --in-sandbox
done
for seed in $SEEDS; do
	attack "sockets $seed" ./sockets "$seed"
done
attack overlay_race ./overlay_race --in-sandbox
for program in futex_pi highmem readproc storm stub_calls stub_hide stub_lanes tty; do
	attack "$program" "./$program"
done

# A guest that never ends of itself and holds on to all it can is ended by the timeout.
start_sandbox --timeout 2s -- "$BB" sh -c \
	'trap "" TERM INT HUP QUIT; while :; do (while :; do :; done) & $0 sleep 0.1; done' "$BB" \
	>"$WORK/out" 2>"$WORK/err" </dev/null
ns=$(readlink "/proc/$kernel/ns/pid")
until_true 7 ended
ok $? "a guest that will not end, ends"
wait "$command"
is "by the timeout" $? 124
until_true 2 empty
ok $? "and leaves no process" || note "$(in_pid_ns "$ns")"
done_testing
