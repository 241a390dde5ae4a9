#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process stops by job control: the command stops too, and SIGCONT makes both go on.
DONJON=${DONJON:-donjon}
BB=${BB:-/bin/busybox}
n=0 failed=0

# check NAME CONDITION...
check() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		failed=1
	fi
}

# Wait up to 10 s until process $1 is in state $2.
in_state() {
	local i state
	for i in {1..200}; do
		state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
		[ "$state" = "$2" ] && return 0
		sleep 0.05
	done
	return 1
}

for sig in TSTP TTIN TTOU; do
	"$DONJON" run -- "$BB" sh -c "kill -$sig \$\$; exit 7" &
	check "stopped by SIG$sig" in_state $! T
	kill -CONT $!
	wait $!
	check "continued after SIG$sig" [ $? = 7 ]
done
"$DONJON" run -- "$BB" sh -c 'trap "exit 8" TSTP; while :; do sleep 0.1; done' &
sleep 0.5
kill -TSTP $!
wait $!
check "SIGTSTP is relayed" [ $? = 8 ]
"$DONJON" run --timeout 1s -- "$BB" sh -c 'kill -TSTP $$' 2>/dev/null
check "not with a timeout" [ $? = 124 ]
echo "1..$n"
exit $failed
