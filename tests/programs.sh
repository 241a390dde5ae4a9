#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real programs: the same output and exit status natively and in the sandbox, REPEAT times.
#
#	REPEAT=20 SIZE=full PROGRAMS='git.sh node.js' tools/run-tests --filter programs scripts
#
# runs those two (all by default), each 20 times, with as much to do as an acceptance test asks for.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"
REPEAT=${REPEAT:-2}
export SIZE=${SIZE:-small}
[[ $SIZE == full ]] && TRY_SECONDS=300
# The system's interpreters, not those of whoever runs this.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What `make test` tells a make below it.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
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
		try "$DONJON" run --timeout "$((TRY_SECONDS - 5))s" -- "$@"
		[[ $status == "$native" ]] && cmp -s "$WORK/native" "$WORK/out" && continue
		failed=$((failed + 1))
		note "run $i: exit status $status, natively $native"$'\n'"$err"
		note "$(diff "$WORK/native" "$WORK/out")"
	done
	[[ $failed == 0 && -s $WORK/native ]]
	ok $? "$name, $REPEAT times" || note "$failed of $REPEAT runs differ"
}
# script NAME 'NEEDED COMMANDS' INTERPRETER...
script() {
	local name=$1 needed=$2 command
	shift 2
	[[ " ${PROGRAMS:-$name} " == *" $name "* ]] || return 0
	for command in $needed "$1"; do
		command -v "$command" >"$WORK/null" || {
			skip "$name" "no $command"
			return
		}
	done
	cp "$scripts/$name" "$WORK/$name"
	cd "$WORK" || exit 1
	same "$name" "$@" "./$name"
	cd "$OUT/programs" || exit 1
}

for program in threads200 forkmap sigstate; do
	[[ " ${PROGRAMS:-$program} " == *" $program "* ]] && same $program ./$program
done
script busybox-sh.sh "" "$BB" sh
script busybox-tools.sh "" "$BB" sh
script bash.sh "" /bin/bash-static
script zsh.sh "" /bin/zsh-static
script shell-jobs.sh "" bash
script python.py "" python3
script gcc.sh "gcc objdump" sh
script make.sh "make gcc" sh
script node.js "" node
script perl.pl "" perl
script git.sh git sh
script sqlite.sh sqlite3 sh
script tools.sh "tar find grep xz sort" sh
script Threads.java javac java
script redis.sh "redis-check-rdb redis-cli redis-benchmark" sh
if [[ " ${PROGRAMS:-goroutines} " == *" goroutines "* ]]; then
	if command -v go >"$WORK/null"; then
		cp "$scripts/goroutines.go" "$WORK" && cd "$WORK" &&
			GOCACHE=${GOCACHE:-$OUT/go-cache} HOME=$WORK CGO_ENABLED=0 go build goroutines.go
		same goroutines ./goroutines
	else
		skip goroutines "no go"
	fi
fi
done_testing
