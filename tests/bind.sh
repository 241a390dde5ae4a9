#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Directories of the host as mounts: the guest tests of files run on one, both sides see what the
# other does, and nobody leaves the mount, whatever is swapped on the host.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"

GUEST_TESTS=(dirs fcntl locks mmap mremap open rw stat xattr)
sh=("$BB" sh -c)
cd "$WORK" || exit 1
mkdir -m 1777 scratch host

# ---- a host directory is as good as a tmpfs ----
for name in "${GUEST_TESTS[@]}"; do
	try "$OUT/guest/$name"
	want=$(grep '^ok ' <<<"$out")
	try "$DONJON" run --bind "$OUT/guest:/mnt" --bind "$WORK/scratch:/tmp" -- "/mnt/$name"
	[[ $status == 0 && $(grep '^ok ' <<<"$out") == "$want" ]]
	ok $? "guest test $name on a bind" || note "status $status"$'\n'"$(grep -v '^ok ' <<<"$out")"
done
is "nothing is left of them" "$(ls -A scratch)" ""

# ---- both sides see the same ----
guest() { try "$DONJON" run --bind "$WORK/host:/mnt" -- "${sh[@]}" "$@"; }
echo from-host >host/a
guest 'cd /mnt; cat a; echo from-guest >b; mkdir d; ln -s ../b d/l; ln b c; chmod 640 b
	touch -d @1000000000 b; mv a d/a; echo more >>d/a'
is "the guest reads what the host wrote" "$out" from-host
is "the host reads what the guest wrote" "$(cat host/c)" from-guest
is "its mode, times and links" "$(stat -c '%a %Y %h' host/b)" "640 1000000000 2"
is "its symbolic link" "$(readlink host/d/l)" ../b
is "its rename and append" "$(cat host/d/a)" $'from-host\nmore'
guest 'umask 027; cd /mnt; echo >u; mkdir um; echo x >ro && chmod 400 ro
	sh -c "umask 222; echo data >0444 && cat 0444"'
is "the guest's umask counts" "$(stat -c %a host/u host/um | xargs)" "640 750"
is "who makes a file may write it" "$out" data
try "$DONJON" run --bind "$WORK/host:/mnt:ro" -- "${sh[@]}" \
	'cd /mnt; cat b; echo x >b; rm b; mkdir x; mv b z; chmod 777 b; ln b y; touch b'
is ":ro can be read" "$out" from-guest
is ":ro cannot be changed" "$(grep -c 'Read-only file system' <<<"$err")" 7
is "and has not been" "$(cat host/b)" from-guest
try "$DONJON" run --bind "$WORK/host/b:/mnt/new/file" -- "${sh[@]}" \
	'cat /mnt/new/file; echo changed >/mnt/new/file; rm /mnt/new/file; ls /mnt/new'
is "a bind of a file" "$out:$(cat host/b)" $'from-guest\nfile:changed'
like "which is busy" "$err" 'busy'
guest 'cd /mnt; mv b /tmp/ && cat /tmp/b; ls b; ln /tmp/b here'
is "mv to another mount copies" "$out" changed
like "a link to another mount" "$err" 'ln:.*[Cc]ross-device'

# ---- what the host changes meanwhile ----
mkfifo host/go host/gone
start_sandbox --bind "$WORK/host:/mnt" -- "${sh[@]}" '
	cd /mnt; exec 5<>d/a; ls new 2>&1; echo ready
	while [ ! -e new ]; do :; done
	cat new; cat d/a 2>&1; cat <&5 | tail -n 1; stat -c %s size; echo gone >&5' >"$WORK/seen" 2>&1
until_true 10 grep -q ready "$WORK/seen"
ok $? "a sandbox looks at the directory"
ln host/d/a host/kept
mv host/d/a host/e && printf 12345 >host/size && echo new >host/new.tmp && mv host/new.tmp host/new
wait "$command"
is "it sees new names and sizes, and not the old" "$(grep -v 'ls:\|cat:' "$WORK/seen" | xargs)" \
	"ready new more 5"
is "and writes to the file that it had opened" "$(tail -n 1 host/kept)" gone

# ---- what is not a file ----
mknod host/null c 1 3 2>/dev/null
guest 'cd /mnt; ls -l go | cut -c1; cat go; echo x >gone; [ -e null ] && cat null'
is "a fifo is shown" "$out" p
is "and not opened, nor is a device" "$(grep -c 'Permission denied' <<<"$err")" \
	"$((2 + $([[ -e host/null ]]; echo $((1 - $?)))))"

# ---- without a writable bind the kernel may not change names on the host ----
try "$DONJON" run --bind "$WORK/host:/mnt:ro" -- "$BB" true
is "a read-only bind runs" "$status" 0

done_testing
