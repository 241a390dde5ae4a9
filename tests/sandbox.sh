#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The walls of a sandbox, looked at from outside while a guest runs in it.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"

# bare PID...: no capabilities, no new privileges, a filter, an empty root. Prints what is wrong.
bare() {
	local pid
	for pid; do
		[[ $(field "$pid" CapEff) == 0000000000000000 ]] || echo "$pid: CapEff"
		[[ $(field "$pid" CapPrm) == 0000000000000000 ]] || echo "$pid: CapPrm"
		[[ $(field "$pid" CapBnd) == 0000000000000000 ]] || echo "$pid: CapBnd"
		[[ $(field "$pid" NoNewPrivs) == 1 ]] || echo "$pid: NoNewPrivs"
		[[ $(field "$pid" Seccomp) == 2 ]] || echo "$pid: Seccomp"
		[[ $(id -u) != 0 || -z $(ls -A "/proc/$pid/root/") ]] || echo "$pid: root"
	done
}
# look NAME ARG...: start a sandbox that way and look at it.
look() {
	local name=$1 ns pid mounts inside
	shift
	mounts=$(sort /proc/self/mounts)
	: >"$WORK/ready"
	start_sandbox --timeout 30s "$@" -- "$BB" sh -c \
		'$0 sleep 100 & $0 sleep 100 | $0 cat & echo ready; wait' "$BB" >"$WORK/ready"
	until_true 10 grep -q ready "$WORK/ready"
	ok $? "$name: it starts"
	ns=$(readlink "/proc/$kernel/ns/pid")
	like "$name: the kernel is the first of its pid namespace" \
		"$(field "$kernel" NSpid)" "^$kernel 1$"
	[[ $ns != "$(readlink /proc/self/ns/pid)" ]]
	ok $? "$name: which is its own"
	[[ $(readlink "/proc/$kernel/ns/mnt") != "$(readlink /proc/self/ns/mnt)" ]]
	ok $? "$name: and so are its mounts"
	is "$name: the kernel is bare" "$(bare "$kernel")" ""
	inside=$(stubs)
	[[ $(wc -w <<<"$inside") -ge 4 ]]
	ok $? "$name: each guest process has a stub" || note "stubs: $inside"
	# shellcheck disable=SC2086
	is "$name: stubs are bare" "$(bare $inside)" ""
	inside=
	for pid in $(in_pid_ns "$ns"); do
		[[ $(field "$pid" CapEff) == 0000000000000000 ]] || inside+="$pid "
	done
	is "$name: no process of it has a capability" "$inside" ""
	kill -TERM "$command"
	wait "$command"
	is "$name: it ends" $? 143
	is "$name: no process is left" "$(in_pid_ns "$ns")" ""
	is "$name: no mount is left" "$(sort /proc/self/mounts)" "$mounts"
}
look "default"
look "--cpus 1" --cpus 1
done_testing
