#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --memory: what the guest sees of it, and what happens to who wants more.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
cd "$OUT/programs" || exit 1

limited() { try "$DONJON" run --memory 96M -- "$BB" sh -c "$1" "$BB"; }

limited 'head -n 1 /proc/meminfo; ./memhog sysinfo; $0 free -k | grep Mem'
is "meminfo, sysinfo and free agree" "$(grep -o 98304 <<<"$out" | xargs)" "98304 98304 98304"
limited './memhog map 90; echo $?; ./memhog map 200; echo $?; ./memhog shared 200; echo $?'
is "a mapping larger than all memory is ENOMEM" "$out" $'0\n3\n3'
limited './memhog touch 40; echo $?; ./memhog touch 1000; echo $?; ./memhog touch 40; echo $?'
is "who touches more dies of SIGKILL, and nobody else" "$out" $'0\n137\n0'
limited 'echo -1000 >/proc/self/oom_score_adj 2>&1; ./memhog touch 30 & ./memhog touch 1000; wait $!; echo $?'
is "the one that has most" "$(tail -n 1 <<<"$out")" 0
limited './memhog fork 50 6; echo $?'
is "pages that are shared after a fork count once" "$out" 0
limited './memhog forks 50 6; echo $?'
is "while those who share them end, too" "$out" 0
limited './memhog vfork 60; echo $?'
is "those of a vfork, too" "$out" 0
limited './memhog thread 1000; echo $?'
is "a process whose first thread has ended is seen" "$out" 137
limited './memhog touch 1000 & ./memhog touch 1000 & ./memhog touch 1000 & wait; ./memhog touch 40; echo $?'
is "several at once" "$out" 0
exits "the first process too" 137 "$DONJON" run --memory 64M -- ./memhog touch 1000
limited 'dd bs=1M count=200 if=/dev/zero of=/tmp/a; dd bs=1M count=200 if=/dev/zero of=/dev/shm/b; stat -c %s /tmp/a
	dd bs=1M count=200 if=/dev/zero of=/c; echo alive; rm /tmp/a /dev/shm/b /c; head -c 9000000 /dev/zero >/tmp/d && echo again'
like "files in memory are limited, too" "$err" 'No space left'
is "to half of it each" "$out" $'50331648\nalive\nagain'
limited 'head -c 70000000 /dev/zero >/tmp/a; ./memhog touch 80; echo $?; rm /tmp/a; ./memhog touch 80; echo $?'
is "files and processes count together" "$out" $'137\n0'
limited './memhog texts 20; echo $?; ./memhog texts 150; echo $?'
is "so do texts of /proc that open files keep" "$out" $'0\n3'
limited './memhog sockets 1000; echo $?; ./memhog touch 40; echo $?; ./memhog sockets 50; echo $?'
is "data in sockets are limited, too" "$out" $'3\n0\n0'
done_testing
