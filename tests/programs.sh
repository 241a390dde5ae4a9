#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real programs: the same output and exit status natively and in the sandbox, REPEAT times.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"
REPEAT=${REPEAT:-2}
scripts=$(cd "$(dirname "$0")/programs" && pwd)
# The sandbox has a /tmp of its own but shows the caller's directory: run programs from theirs.
cd "$OUT/programs" || exit 1

# same NAME COMMAND...
same() {
	local name=$1 native failed=0 i
	shift
	try "$@"
	cp "$WORK/out" "$WORK/native"
	native=$status
	[[ -s $WORK/native ]] || note "no output natively: $err"
	for ((i = 1; i <= REPEAT; i++)); do
		try "$DONJON" run --timeout 50s -- "$@"
		[[ $status == "$native" ]] && cmp -s "$WORK/native" "$WORK/out" && continue
		failed=$((failed + 1))
		note "run $i: exit status $status, natively $native"$'\n'"$err"
		note "$(diff "$WORK/native" "$WORK/out")"
	done
	[[ $failed == 0 && -s $WORK/native ]]
	ok $? "$name, $REPEAT times" || note "$failed of $REPEAT runs differ"
}
# script NAME INTERPRETER...
script() {
	local name=$1
	shift
	[[ -x $1 ]] || {
		skip "$name" "no $1"
		return
	}
	cp "$scripts/$name" "$WORK/$name"
	cd "$WORK" || exit 1
	same "$name" "$@" "./$name"
	cd "$OUT/programs" || exit 1
}

for program in threads200 forkmap sigstate; do
	same $program ./$program
done
script busybox-sh.sh "$BB" sh
script busybox-tools.sh "$BB" sh
script bash.sh /bin/bash-static
script zsh.sh /bin/zsh-static
done_testing
