# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts beside this directory share: TAP, a scratch directory, bounded runs, and the
# processes of a sandbox as the host sees them. Sourced; bash.

set -u
: "${DONJON:?path of the binary}" "${BUILD:?directory of the build}"
DONJON=$(readlink -f "$DONJON")
OUT=$(readlink -f "$BUILD/..") && export OUT # guest, hostile and programs are here
WORK=$(mktemp -d "${TMPDIR:-/tmp}/tap.XXXXXX") || exit 1
chmod 755 "$WORK"
# Every process that this script starts has it in its environment, until it replaces that.
MARK=TAP_MARK=$$.$RANDOM$RANDOM.
export "${MARK?}"
export LC_ALL=C
export BB=/bin/busybox

tap_number=0 tap_failed=0

# Kill what the script has left behind: only what carries its mark.
cleanup() {
	local pid
	for pid in $(marked "$MARK"); do
		[[ $pid == "$$" ]] || kill -9 "$pid" 2>/dev/null
	done
	wait
	rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ok STATUS NAME: one test; it passed if STATUS is 0.
ok() {
	tap_number=$((tap_number + 1))
	if [[ $1 == 0 ]]; then
		echo "ok $tap_number - $2"
	else
		echo "not ok $tap_number - $2"
		tap_failed=$((tap_failed + 1))
	fi
	return "$1"
}
note() { printf '%s\n' "$*" | head -n "${NOTE_LINES:-20}" | sed 's/^/# /'; }
skip() {
	tap_number=$((tap_number + 1))
	echo "ok $tap_number - $1 # SKIP $2"
}
# is NAME GOT WANT
is() {
	[[ $2 == "$3" ]]
	ok $? "$1" || note "got: $2"$'\n'"want: $3"
}
# like NAME TEXT REGEX
like() {
	[[ $2 =~ $3 ]]
	ok $? "$1" || note "got: $2"$'\n'"want: $3"
}
done_testing() {
	echo "1..$tap_number"
	[[ $tap_failed == 0 ]]
	exit
}

TRY_SECONDS=60
# try COMMAND...: run it for at most TRY_SECONDS, without input unless STDIN names a file; sets status,
# out and err.
try() {
	timeout -k 5 "$TRY_SECONDS" "$@" <"${STDIN:-/dev/null}" >"$WORK/out" 2>"$WORK/err"
	status=$?
	out=$(tr -d '\0' <"$WORK/out")
	err=$(tr -d '\0' <"$WORK/err")
}
# exits NAME WANT COMMAND...: try it and compare its exit status.
exits() {
	local name=$1 want=$2
	shift 2
	try "$@"
	[[ $status == "$want" ]]
	ok $? "$name" || note "exit status $status, want $want"$'\n'"$out"$'\n'"$err"
}
# one_line NAME WANT COMMAND...: as exits, with one line on stderr and nothing on stdout.
one_line() {
	local name=$1 want=$2
	shift 2
	try "$@"
	[[ $status == "$want" && -z $out && $(wc -l <"$WORK/err") == 1 && $err == donjon:* ]]
	ok $? "$name" || note "exit status $status, want $want and one line"$'\n'"$out"$'\n'"$err"
}
donjon() { try "$DONJON" "$@"; }

# until_true SECONDS COMMAND...: wait for it to succeed.
until_true() {
	local tries=$(($1 * 20))
	shift
	until "$@"; do
		((--tries > 0)) || return 1
		sleep 0.05
	done
}

# marked TEXT: pids of live processes with TEXT in their environment.
marked() {
	local file
	env -u TAP_MARK grep -lsaF -- "$1" /proc/[0-9]*/environ 2>/dev/null |
		while IFS=/ read -r _ _ file _; do
			alive "$file" && echo "$file"
		done
}
# alive PID: it exists and is no zombie.
alive() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[[ $stat != [ZX]* ]]
}
children() { cat "/proc/$1/task/"*/children 2>/dev/null; }
# in_pid_ns NS: live processes in that pid namespace (as readlink /proc/PID/ns/pid names it).
in_pid_ns() {
	local path
	for path in /proc/[0-9]*; do
		[[ $(readlink "$path/ns/pid" 2>/dev/null) == "$1" ]] && alive "${path#/proc/}" &&
			echo "${path#/proc/}"
	done
}
# field PID NAME: a line of /proc/PID/status.
field() {
	awk -v name="$2:" '$1 == name { $1 = ""; print substr($0, 2) }' "/proc/$1/status" 2>/dev/null
}

# start_sandbox ARG...: `donjon run ARG...` in the background, with the standard streams of the
# caller; sets command, and kernel once that process is there. No signal is ignored, as the shell
# would have it.
start_sandbox() {
	env --default-signal "$DONJON" run "$@" <&0 &
	command=$!
	kernel=
	until_true 10 find_kernel
}
find_kernel() {
	local pids
	read -r kernel pids < <(children "$command")
	: "$pids"
	[[ -n $kernel ]]
}
# stubs: the kernel's children that have run, or may run, guest code: those with a filter.
stubs() {
	local pid
	for pid in $(children "$kernel"); do
		[[ $(field "$pid" Seccomp) == 2 ]] && echo "$pid"
	done
}
