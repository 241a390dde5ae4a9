#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a guest gets of the caller: standard streams, directory, ids, rights, signals.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
run() { try "$DONJON" run "$@"; }
sh=("$BB" sh -c)
cd "$WORK" || exit 1

# ---- standard streams: as natively ----
head -c 3000000 /dev/urandom >data
want=$("$BB" sha256sum <data)
is "stdin from a file" "$("$DONJON" run -- "$BB" sha256sum <data)" "$want"
is "stdin from a pipe" "$(head -c 3000000 data | "$DONJON" run -- "$BB" sha256sum)" "$want"
echo first >append
for i in 1 2; do "$DONJON" run -- "$BB" echo "line $i" >>append; done
is "stdout to a file in append mode" "$(cat append)" $'first\nline 1\nline 2'
"$DONJON" run -- "$BB" cat data >copy
cmp -s copy data
ok $? "stdout to a file"
"$DONJON" run -- "$BB" cat data | cmp -s - data
ok $? "stdout to a pipe"
"$DONJON" run -- "$BB" yes | head -n 1 >/dev/null
is "SIGPIPE when the reader is gone" "${PIPESTATUS[0]}" 141
closed() { # how a guest run by "$@" sees closed streams
	"$@" "${sh[@]}" 'cat 2>/dev/null; echo "in $?"' <&-
	"$@" "${sh[@]}" 'echo x 2>/dev/null; exit $?' >&-
	echo "out $?"
	"$@" "${sh[@]}" 'echo x >&2; echo "err $?"' 2>&-
}
is "closed streams" "$(closed "$DONJON" run -- 2>/dev/null)" "$(closed 2>/dev/null)"
seq 1000 >numbers
offset() { { "$@" "$BB" dd bs=100 count=1 2>/dev/null >/dev/null; "$BB" head -n 1; } <numbers; }
is "the file position is shared" "$(offset "$DONJON" run --)" "$(offset)"
{ sleep 0.2; echo late; } | { "$DONJON" run -- "${sh[@]}" 'read x; echo "$x"'; } >out
is "a slow writer" "$(cat out)" late
is "a descriptor above 2 is not inherited" \
	"$("$DONJON" run -- "${sh[@]}" 'echo x >&7' 7>seven 2>/dev/null || cat seven)" ""

# ---- directory and environment ----
cd /usr/share && run -- "$BB" pwd
is "the caller's directory" "$out" /usr/share
mkdir -p "$WORK/below/it" && echo there >"$WORK/below/it/file"
cd "$WORK/below/it" && run -- "${sh[@]}" 'pwd; cat file; echo x 2>/dev/null >new; echo $?'
is "a directory below /tmp, read-only" "$out" "$PWD"$'\nthere\n1'
run -- "${sh[@]}" 'echo x >/tmp/mine && cat /tmp/mine'
is "a /tmp of its own" "$out" x
[[ ! -e /tmp/mine ]]
ok $? "which nobody else sees"
umask 027
run -- "${sh[@]}" 'umask'
umask 022
is "the caller's umask" "$out" 0027
FROM_CALLER='a b' run -- "${sh[@]}" 'echo "$FROM_CALLER"'
is "the caller's environment" "$out" "a b"
cd / || exit 1

# ---- ids and rights ----
ids='for i in -u -g -G; do $0 id $i; done'
run -- "${sh[@]}" "$ids" "$BB"
is "the caller's ids" "$out" "$(id -u; id -g; id -G)"

# other UID GROUPS: the command run by another user.
other() {
	local uid=$1 groups=$2 copy as
	as=(setpriv --reuid "$uid" --regid "$uid" "$groups")
	if [[ $(id -u) != 0 ]] || ! "${as[@]}" true 2>/dev/null; then
		skip "uid $uid" "needs root and setpriv"
		return
	fi
	copy=$WORK/donjon
	cp "$DONJON" "$copy"
	exits "uid $uid: status" 5 "${as[@]}" "$copy" run -- "${sh[@]}" 'exit 5'
	try "${as[@]}" "$copy" run -- "${sh[@]}" "$ids" "$BB"
	is "uid $uid: ids" "$out" "$("${as[@]}" "${sh[@]}" "$ids" "$BB")"
	echo secret >"$WORK/secret"
	chmod 600 "$WORK/secret"
	cd "$WORK" || return
	exits "uid $uid: another's file" 1 "${as[@]}" "$copy" run -- "$BB" cat secret
	like "uid $uid: is denied" "$err" "Permission denied"
	exits "uid $uid: a public file" 0 "${as[@]}" "$copy" run -- "$BB" cat append
	exits "uid $uid: processes" 0 "${as[@]}" "$copy" run -- \
		"${sh[@]}" 'for i in 1 2 3; do $0 true | $0 cat & done; wait' "$BB"
	exits "uid $uid: doctor" 0 "${as[@]}" "$copy" doctor
	cd / || return
}
other 65534 --clear-groups
other 4321 --groups=4321,4322

# ---- signals sent to the command ----
# relay SIGNAL SCRIPT WANT: send it once the guest has said "ready"; compare output and status.
relay() {
	start_sandbox --timeout 30s -- "${sh[@]}" "$2" "$BB" >"$WORK/relay"
	until_true 10 grep -q ready "$WORK/relay"
	kill "-$1" "$command"
	wait "$command"
	is "SIG$1 is relayed" "status $?, $(paste -sd ' ' "$WORK/relay")" "$3"
}
for sig in TERM HUP USR1 USR2 QUIT; do
	relay $sig "trap 'echo $sig; exit 9' $sig; echo ready; while :; do \$0 sleep 0.05; done" \
		"status 9, ready $sig"
done
mkfifo "$WORK/in"
exec 6<>"$WORK/in"
start_sandbox --timeout 30s -- "$BB" cat <&6 >"$WORK/cat"
echo line >&6
until_true 10 grep -q line "$WORK/cat"
kill -TERM "$command"
wait "$command"
is "SIGTERM without a handler" $? 143
exec 6<&-
done_testing
