#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a sandbox alone can show of /proc and /sys: settings that are written, CPUs and memory as the
# command was told, and figures of the sandbox's own load.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
cd "$WORK" || exit 1
inside() { timeout 60 "$DONJON" run "$@" 2>"$WORK/err" </dev/null; }

# setting NAME VALUE GOT: what NAME shows when VALUE was written.
setting() {
	is "$1: '$2'" "$(inside -- "$BB" sh -c 'echo "$2" >/proc/sys/$1 2>/dev/null; $0 cat /proc/sys/$1' "$BB" "$1" "$2" |
		tr '\t' ' ')" "$3"
}
setting vm/swappiness 100 100
setting vm/swappiness 201 60
setting vm/swappiness -1 60
setting vm/swappiness 1x 60
setting vm/swappiness '1 2' 60
setting vm/swappiness 0x10 16
setting vm/swappiness '' 60
setting kernel/printk 7 '7 4 1 7'
setting kernel/printk '1 2 3 4' '1 2 3 4'
setting kernel/printk '1 2 3 4 5' '4 4 1 7'
setting kernel/shmmax 18446744073709551615 18446744073709551615
setting kernel/shmmax 18446744073709551616 18446744073692774399
setting kernel/shmmax -1 18446744073692774399
setting kernel/core_pattern '|/bin/x %p' '|/bin/x %p'
setting kernel/core_pattern "$(printf %0200d 0)" "$(printf %0126d 0)"
setting kernel/hostname other other
setting kernel/osrelease other "$(inside -- "$BB" uname -r)"
setting fs/inotify/max_user_watches 1048576 1048576
setting fs/inotify/max_user_watches -1 65536
is "limits of inotify count" "$(inside --bind "$OUT/guest:/mnt" -- "$BB" sh -c '
	cd /proc/sys/fs/inotify; /mnt/inotify --count; echo 7 >max_user_instances; echo 5 >max_user_watches
	/mnt/inotify --count; $0 cat /proc/sys/user/max_inotify_*' "$BB" | paste -sd ' ')" "100 128 5 7 7 5"
is "a written host name is uname's" "$(inside -- "$BB" sh -c 'echo new >/proc/sys/kernel/hostname; $0 uname -n' "$BB")" new
is "and the other way" "$(inside --hostname abc -- "$BB" cat /proc/sys/kernel/hostname)" abc
is "settings are the root user's" "$(inside --user 1000 -- "$BB" sh -c \
	'echo 1 >/proc/sys/vm/swappiness; echo status $?' "$BB" | tail -n 1)" 'status 1'

is "directories of device numbers" "$(inside -- "$BB" ls /sys/dev | paste -sd " ")" "block char"
for cpus in 1 2 3; do
	is "--cpus $cpus" "$(inside --cpus $cpus -- "$BB" sh -c '
		$0 grep -c ^processor /proc/cpuinfo
		$0 grep -c "^cpu[0-9]" /proc/stat
		$0 ls -d /sys/devices/system/cpu/cpu[0-9]* | $0 wc -l
		$0 cat /sys/devices/system/cpu/online /sys/devices/system/node/node0/cpulist
		$0 nproc' "$BB" | paste -sd ' ')" \
		"$cpus $cpus $cpus $(case $cpus in 1) echo 0 0 ;; *) echo 0-$((cpus - 1)) 0-$((cpus - 1)) ;; esac) $cpus"
done
is "--memory" "$(inside --memory 256M -- "$BB" sh -c '$0 grep MemTotal /proc/meminfo | $0 tr -dc 0-9;
	$0 free | $0 grep -c 262144' "$BB" | paste -sd ' ')" '2621441'

# A second of one CPU shows in the system's times, and in nobody else's.
inside --cpus 2 -- "$BB" sh -c '
	$0 grep "^cpu " /proc/stat
	i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done
	$0 grep "^cpu " /proc/stat; $0 grep "^cpu " /proc/stat' "$BB" >"$WORK/out"
awk '{ user[NR] = $2 + $4; all[NR] = $2 + $4 + $5 } END { exit !(NR == 3 && user[2] >= user[1] + 5 &&
	user[3] >= user[2] && all[3] >= all[1]) }' "$WORK/out"
ok $? "CPU time used is seen in stat" || note "$(cat "$WORK/out")"
like "processes are counted" "$(inside -- "$BB" sh -c '$0 true; $0 true; $0 grep processes /proc/stat' "$BB")" \
	'^processes [3-9]$'
is "a name of its own line" "$(inside -- "$BB" sh -c 'printf "a\nUid:\t1" >/proc/self/comm; $0 true
	$0 grep -c ^Uid: /proc/$$/status' "$BB")" 1
done_testing
