#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Hosts that lack something: where we can do without it guests run as ever, else one line says so.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"
DENY=$OUT/hosts/deny
cd "$OUT/guest" || exit 1

# works WHAT...: guest tests pass on a host without.
works() {
	local program bad=''
	for program in clone exec futex mmap rw signals sigfp threads vfork; do
		try "$DENY" "$@" -- "$DONJON" run --timeout 50s -- "./$program"
		[[ $status == 0 ]] || bad+="$program: status $status: $err"$'\n'
	done
	is "guests run without $*" "$bad" ""
	exits "doctor agrees ($*)" 0 "$DENY" "$@" -- "$DONJON" doctor
}
# refuses WHAT: no guest runs, and both commands say why.
refuses() {
	one_line "no guest runs without $1" 125 "$DENY" "$1" -- "$DONJON" run -- "$BB" true
	exits "doctor says so ($1)" 1 "$DENY" "$1" -- "$DONJON" doctor
	like "doctor names what is missing ($1)" "$out" "MISSING"
}

works process_vm
works sync_wake_up guard
works nowait affinity
try "$DENY" namespaces -- "$DONJON" run -- "$BB" echo runs
is "a guest runs without namespaces" "$status $out" "0 runs"
like "with a warning" "$err" "^donjon: warning: .*see donjon doctor$"
refuses openat2
refuses memfd
refuses listener
done_testing
