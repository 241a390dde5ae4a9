#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The command: exit statuses, programs that cannot be run, options.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
run() { try "$DONJON" run "$@"; }
sh=("$BB" sh -c)
page=$(readlink -f "$(dirname "$0")/../docs/donjon.1")

# ---- exit statuses ----
exits "status 0" 0 "$DONJON" run -- "$BB" true
exits "the guest's status" 7 "$DONJON" run -- "${sh[@]}" 'exit 7'
exits "status 255" 255 "$DONJON" run "${sh[@]}" 'exit 255'
for sig in TERM:143 KILL:137 SEGV:139 ABRT:134 USR1:138; do
	exits "death by SIG${sig%:*}" "${sig#*:}" "$DONJON" run -- "${sh[@]}" "kill -${sig%:*} \$\$"
done
exits "a child's death is the child's" 3 "$DONJON" run -- \
	"${sh[@]}" '$0 sleep 100 & kill -9 $!; wait $!; exit $(($? - 134))' "$BB"

# ---- programs that cannot be run ----
cd "$WORK" || exit 1
: >empty && printf 'no program\n' >text && cp "$BB" noexec && head -c 100 "$BB" >short
printf '#!/nowhere/sh\n' >lost && printf '#!%s sh\necho "script $0 $*"\n' "$BB" >script
{ head -c 16 "$BB" && head -c 4096 /dev/urandom; } >broken
{ head -c 64 "$BB" && printf 'x%.0s' {1..4032}; } >headers
chmod 644 noexec && chmod 755 empty text short broken headers lost script
one_line "no such program" 127 "$DONJON" run -- /nowhere/program
one_line "no such program in PATH" 127 "$DONJON" run -- no-such-program
one_line "a script's interpreter is missing" 127 "$DONJON" run -- ./lost
one_line "a directory" 126 "$DONJON" run -- /usr
one_line "not executable" 126 "$DONJON" run -- ./noexec
one_line "an empty file" 126 "$DONJON" run -- ./empty
one_line "a text file" 126 "$DONJON" run -- ./text
one_line "an ELF file of 100 bytes" 126 "$DONJON" run -- ./short
one_line "an ELF file with random contents" 126 "$DONJON" run -- ./broken
one_line "an ELF file with bad program headers" 126 "$DONJON" run -- ./headers
run -- ./script a b
is "a script with #!" "$out" "script ./script a b"
run -- busybox echo found
is "a program in PATH" "$out" found

# ---- options ----
for bad in "" nonsense run "run --" "run --nonsense -- x" "run --cpus" "run --cpus 0 x" \
	"run --cpus x x" "run --timeout 0 x" "run --timeout soon x" "run --timeout -1s x" "run --env =x x" \
	"run --log loud x" "run --workdir relative x" "run --workdir /nowhere $BB" \
	"run --bind x" "run --bind :/mnt x" "run --bind /etc:mnt x" "run --bind /etc:/ x" \
	"run --bind /etc:/mnt:rx x" "run --bind /etc:/a/../b x" "run --bind /nowhere:/mnt $BB" \
	"run --tmpfs mnt x" "run --tmpfs / x" "run --tmpfs /./x x" "run --user root x" "run --user 1: x" \
	"run --user 1:x x" "run --user -1 x" "run --user 4294967295 x" "run --user 1:2:3 x" \
	"run --hostname a/b x" "run --hostname $(printf 'x%.0s' {1..65}) x" "run --memory 1M x" \
	"run --memory 64Q x" "run --memory x x" "run --memory -64M x" "run --memory 99999999T x" \
	"run --strace-filter nocall x" "run --strace-filter open,%noclass x" "run --strace-filter , x" \
	"run --rootfs /nowhere $BB" "run --rootfs /etc/passwd $BB"; do
	# shellcheck disable=SC2086
	one_line "refused: donjon $bad" 125 "$DONJON" $bad
done
export VAR=caller OTHER=caller
run --env VAR=option --env NEW=a=b -- \
	"${sh[@]}" 'for v in "$VAR" "$OTHER" "$NEW"; do echo "$v"; done'
is "--env adds and replaces" "$out" $'option\ncaller\na=b'
run --env A=1 --clear-env --env OTHER --env B= -- "$BB" env
is "--clear-env" "$(sort <<<"$out")" $'A=1\nB=\nOTHER=caller'
run --workdir /usr -- "$BB" pwd
is "--workdir" "$out" /usr
run --cpus 3 -- "$BB" nproc
is "--cpus 3" "$out" 3
run -- "$BB" nproc
is "the host's CPUs by default" "$out" "$("$BB" nproc)"
run --strace -- "$BB" echo text
like "--strace shows calls" "$err" 'write\(1, "text'
is "--strace leaves stdout alone" "$out" text
run --strace="$WORK/trace" -- "$BB" true
like "--strace=FILE" "$(cat "$WORK/trace")" exit_group
is "--strace=FILE leaves stderr alone" "$err" ""
like "--strace names the task" "$(cat "$WORK/trace")" '^\[1 busybox\] '
run --strace-filter uname,%network -- "${sh[@]}" 'uname; cat /etc/hostname' "$BB"
is "--strace-filter NAME" "$(grep -c 'uname(' <<<"$err"),$(grep -c 'open' <<<"$err")" 2,0
run --strace-filter '!%file,%desc,%memory' -- "${sh[@]}" 'trap : USR1; cat /etc/hostname; kill -USR1 $$; echo'
is "--strace-filter !CLASS" "$(grep -c 'open\|mmap' <<<"$err")" 0
like "--strace-filter: others and signals are shown" "$err" 'kill\(1, SIGUSR1\).*--- SIGUSR1 \{'
exits "--log LEVEL:FILE" 0 "$DONJON" run --log debug:"$WORK/log" -- "$BB" true
is "--log LEVEL:FILE leaves stderr alone" "$err" ""
[[ -f $WORK/log ]]
ok $? "--log LEVEL:FILE makes the file"

run --hostname some-name -- "$BB" hostname
is "--hostname" "$out" some-name
run --user 12:34 -- "$BB" id
is "--user UID:GID" "$(tr -cd 0-9, <<<"${out%%groups*}")" "1234"
run --user 77 -- "${sh[@]}" 'id -u; id -g; id -G'
is "--user UID" "$out" $'77\n77\n77'
run --tmpfs /mnt --tmpfs /mnt/in/it -- "${sh[@]}" 'echo x >/mnt/in/it/file && cat /mnt/in/it/file'
is "--tmpfs" "$out" x
run --read-only -- "${sh[@]}" 'echo x >/file; echo x >/tmp/file && cat /tmp/file'
like "--read-only" "$out:$err" '^x:.*Read-only file system'
mkdir -p root/bin root/etc && cp "$BB" root/bin/busybox && echo theirs >root/etc/mark
run --rootfs root -- /bin/busybox sh -c 'pwd; cat /etc/mark; ls / | sort | xargs'
is "--rootfs" "$out" $'/\ntheirs\nbin dev etc proc sys tmp'
SECONDS=0
exits "--timeout ends a sleeper" 124 "$DONJON" run --timeout 500ms -- "$BB" sleep 100
exits "--timeout ends a busy guest that ignores signals" 124 \
	"$DONJON" run --timeout 500ms -- "${sh[@]}" 'trap "" TERM INT HUP; while :; do :; done'
((SECONDS < 10))
ok $? "--timeout is kept" || note "$SECONDS s for two of 500 ms"
exits "a timeout not reached" 4 "$DONJON" run --timeout 1m -- "${sh[@]}" 'exit 4'
for what in --help "run --help"; do
	# shellcheck disable=SC2086
	exits "$what" 0 "$DONJON" $what
	like "$what prints the usage" "$out" ^usage:
done
for what in --help "run --help" --version syscalls; do
	# shellcheck disable=SC2086
	"$DONJON" $what >/dev/full 2>err
	is "$what: what cannot be written is a failure" "$?" 125
done
"$DONJON" --help | grep -o -- '--[a-z][a-z-]*' | sort -u >options
sed 's/\\-/-/g; s/Fl -/--/g' "$page" >page
is "the manual page has all options of --help" "$(while read -r o; do grep -qF -- "$o" page || echo "$o"; done <options)" ""
if command -v man >/dev/null; then
	is "the manual page has no mistakes" "$(man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)" ""
else
	skip "the manual page has no mistakes" "no man"
fi
donjon --version
like "--version" "$out" '^donjon [0-9]+\.[0-9]+'
exits "syscalls" 0 "$DONJON" syscalls
like "syscalls lists them" "$out" openat
exits "doctor" 0 "$DONJON" doctor
like "doctor says yes" "$out" 'can run sandboxes'
exits "whatever its caller ignores" 0 env --ignore-signal "$DONJON" doctor

done_testing
