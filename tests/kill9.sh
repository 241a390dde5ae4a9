#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# SIGKILL for a stub, the kernel or the command at MOMENTS random moments (seeded by SEED), every
# fourth time in a sandbox of uid 65534: nothing but zombies is left after 2 s, and a stub's death is
# that of one guest process only.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/lib/tap.sh"
MOMENTS=${MOMENTS:-12}
RANDOM=${SEED:-1}
as=()
cp "$DONJON" "$WORK/donjon" && DONJON=$WORK/donjon # where others can run it

# The guest: three busy loops that fork, and one process that says that it lives.
guest='
	loop() { while :; do $0 true | $0 cat; (:) & wait; done; }
	loop & loop & loop &
	while :; do echo alive; $0 sleep 0.02; done'

descend() {
	local pid
	for pid in $(children "$1"); do
		echo "$pid"
		descend "$pid"
	done
}
left() {
	local pid
	for pid in $members $(in_pid_ns "$ns"); do
		alive "$pid" && [[ $(readlink "/proc/$pid/ns/pid") == "$ns" || $pid == "$command" ]] &&
			echo "$pid"
	done | sort -u
}
gone() { [[ -z $(left) ]]; }
begin() {
	: >"$WORK/alive"
	chmod 666 "$WORK/alive"
	if ((moment % 4 == 3)) && [[ $(id -u) == 0 ]]; then
		as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	else
		as=()
	fi
	"${as[@]}" "$DONJON" run --timeout 60s -- "$BB" sh -c "$guest" "$BB" \
		>"$WORK/alive" 2>"$WORK/err" &
	command=$! kernel=
	until_true 10 find_kernel && until_true 10 private
}
private() { # the kernel has its own pid namespace
	[[ $(readlink "/proc/$command/ns/pid") == "$(readlink /proc/self/ns/pid)" ]] &&
		ns=$(readlink "/proc/$kernel/ns/pid") && [[ $ns != "$(readlink /proc/self/ns/pid)" ]]
}
# Kill the stub of a loop's process: any but the first, which is the shell that says it lives.
kill_stub() {
	local all
	mapfile -t all < <(stubs | sort -n)
	((${#all[@]} > 2)) || return 1
	victim=${all[RANDOM % (${#all[@]} - 1) + 1]}
	alive "$victim" && kill -9 "$victim" 2>/dev/null # a process of the guest may just have ended
}
grows() {
	local size
	size=$(stat -c %s "$WORK/alive")
	until_true 5 eval "(( \$(stat -c %s '$WORK/alive') > $size ))"
}

bad=0 survived=0 targets=(stub kernel command)
declare -A count=([stub]=0 [kernel]=0 [command]=0)
for ((moment = 0; moment < MOMENTS; moment++)); do
	target=${targets[moment % 3]}
	delay=0.$(printf %03d $((RANDOM % 400)))
	why=
	begin || why="did not start: $(cat "$WORK/err")"
	[[ $target != stub ]] || until_true 10 test -s "$WORK/alive" || why="guest did not start"
	sleep "$delay"
	members="$command $(descend "$command")"
	case $target in
	kernel) victim=$kernel && kill -9 "$kernel" ;;
	command) victim=$command && kill -9 "$command" ;;
	stub) until_true 5 kill_stub ;;
	esac
	killed=$?
	[[ $killed == 0 ]] && count[$target]=$((${count[$target]} + 1)) || why+=" no $target to kill"
	if [[ $target == stub && -z $why ]]; then
		alive "$kernel" || why="the kernel died"
		# The first guest process may have been it: then the sandbox ends, and well.
		if [[ -z $why ]] && ! grows && alive "$command"; then
			why="the guest hangs"
		fi
		alive "$command" && survived=$((survived + 1))
		members="$command $(descend "$command")"
		kill -TERM "$command" 2>/dev/null
	fi
	if [[ $target != command ]]; then
		until_true 3 eval '! alive "$command"' || why+=" the command lives on"
		[[ $why ]] || { wait "$command" && status=0 || status=$?; }
		case $target,$status in
		stub,14[13] | stub,137 | kernel,125) ;;
		*) [[ $why ]] || why="exit status $status after the end of a $target" ;;
		esac
	fi
	until_true 2 gone || why+=" left: $(left | paste -sd ' ')"
	[[ -z $why ]] && continue
	bad=$((bad + 1))
	note "moment $moment, $target $victim after $delay s, as ${as[*]:-caller}: $why"
	note "$(cat "$WORK/err")"
	kill -9 "$command" "$kernel" 2>/dev/null
	wait "$command" 2>/dev/null
done 2>"$WORK/bash"
is "$MOMENTS moments: ${count[stub]} stubs, ${count[kernel]} kernels, ${count[command]} commands" \
	"$bad" 0
((survived * 2 >= count[stub]))
ok $? "most guests outlive a stub" || note "$survived of ${count[stub]}"
is "no process is left in the end" "$(marked "$MARK")" ""
done_testing
