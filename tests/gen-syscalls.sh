#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The generator of what follows from the table of system calls: from a small table, what each of its
# outputs says; and that tables with mistakes are refused.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
generator=$(dirname "$0")/../tools/gen-syscalls.py

cat >"$WORK/table.def" <<'TABLE'
# comment
0 read FULL now fd:fd buf:rdata*count count:size
2 open PARTIAL - path:path flags:flags.open mode:mode ; not | all_of it
7 poll FULL now fds:inout.pollfd*nfds nfds:uint timeout:int
29 shmget NONE - ; later
39 getpid FULL -
72 fcntl FULL now fd:fd cmd:enum.fcntl arg:hex
72:5 F_GETLK now fd:fd cmd:cmd arg:inout.flock
TABLE
generate() { python3 "$generator" "$1" "$WORK/table.def" >"$WORK/$1" 2>"$WORK/err"; }
# has OUTPUT LINE: the line is in it, white space at its ends apart.
has() {
	sed 's/^[[:space:]]*//; s/[[:space:]]*$//' "$WORK/$1" | grep -qxF -- "$2"
	ok $? "$1: ${2:0:60}" || note "$(cat "$WORK/$1")"
}

for output in protos dispatch strace marshal docs; do
	generate $output
	ok $? "$output" || note "$(cat "$WORK/err")"
done

has protos '#define SYSCALL_COUNT 73'
has protos 'long sys_read(struct task *t, int fd, struct uaddr buf, u64 count);'
has protos 'long sys_open(struct task *t, struct uaddr path, int flags, u32 mode);'
has protos 'long sys_getpid(struct task *t);'
! grep -q sys_shmget "$WORK/protos"
ok $? "protos: none for a call that there is not"
has dispatch 'return sys_read(t, (int)a[0], UADDR(a[1]), a[2]);'
has dispatch '[39] = call_getpid,'
has dispatch '[29] = { "shmget", SYSCALL_NONE, "later" },'
has dispatch '[2] = { "open", SYSCALL_PARTIAL, "not | all_of it" },'

has strace 'static const struct strace_call g_strace_calls[SYSCALL_COUNT] = {'
has strace '[0] = { 3, { { ARG_FD, NAMES_none, STRUCT_none, 0 }, { ARG_RDATA, NAMES_none, STRUCT_none, 3 }, { ARG_ULONG, NAMES_none, STRUCT_none, 0 } } },'
has strace '[2] = { 3, { { ARG_PATH, NAMES_none, STRUCT_none, 0 }, { ARG_FLAGS, NAMES_open, STRUCT_none, 0 }, { ARG_MODE, NAMES_none, STRUCT_none, 0 } } },'
has strace '[7] = { 3, { { ARG_INOUT, NAMES_none, STRUCT_pollfd, 2 }, { ARG_UINT, NAMES_none, STRUCT_none, 0 }, { ARG_INT, NAMES_none, STRUCT_none, 0 } } },'
has strace '[39] = { 0, { {} } },'
has strace '[72] = { 3, { { ARG_FD, NAMES_none, STRUCT_none, 0 }, { ARG_ENUM, NAMES_fcntl, STRUCT_none, 0 }, { ARG_HEX, NAMES_none, STRUCT_none, 0 } } },'
is "strace: an unknown call shows six registers" "$(grep -F '[29]' "$WORK/strace" | grep -o ARG_HEX | wc -l)" 6
has strace '[STRUCT_pollfd] = 8,'
is "strace: one row a call, none a command" "$(grep -c '^	\[[0-9]' "$WORK/strace")" 6

has marshal 'MARSHAL(0, -1, 0, 0, MARSHAL_OUT_COUNT(1, 2, 1), MARSHAL_NONE, MARSHAL_NONE, MARSHAL_NONE) /* read */'
has marshal 'MARSHAL(2, -1, 0, 0, MARSHAL_STRING(0), MARSHAL_NONE, MARSHAL_NONE, MARSHAL_NONE) /* open */'
has marshal 'MARSHAL(72, 1, 5, 0, MARSHAL_IN(2, 32), MARSHAL_OUT(2, 32), MARSHAL_NONE, MARSHAL_NONE) /* F_GETLK */'
has docs '4 full, 1 partial, 1 not implemented.'
has docs '| 2 | `open` | partial | not \| all\_of it |'

# refused NAME ROW
refused() {
	echo "$2" >"$WORK/table.def"
	! generate strace && grep -q "table.def" "$WORK/err"
	ok $? "refused: $1" || note "$(cat "$WORK/err")"
}
refused "an unknown kind" '1 write FULL - fd:what'
refused "an unknown struct" '1 write FULL - fd:in.what'
refused "a count that is no argument" '1 write FULL - buf:data*count'
refused "data without a count" '1 write FULL - buf:data'
refused "flags without a table" '1 write FULL - f:flags'
refused "an unknown level" '1 write SOME -'
refused "an unknown output rule" '1 write FULL when'
refused "seven arguments" '1 write FULL - a:int b:int c:int d:int e:int f:int g:int'
refused "a number that stands twice" '1 write FULL -
1 read FULL -'
done_testing
