#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A small shell script in the sandbox: `make demo`.
set -eu

DONJON=${DONJON:-build/donjon}

exec "$DONJON" run -- /bin/busybox sh -c '
title() { printf "\n== %s\n" "$1"; }

title "the kernel that answers here"
uname -a

title "who and where"
id
echo "shell is pid $$, in $(pwd)"

title "the processes that it can see"
for stat in /proc/[0-9]*/stat; do
	[ -r "$stat" ] && read -r pid name state ppid rest <"$stat" &&
		printf "%6s %6s %s %s\n" "$pid" "$ppid" "$state" "$name"
done

title "a pipeline of four processes"
seq 1 1000 | grep 7 | sort -rn | head -n 3

title "fork, wait and exit status"
(exit 42) || echo "the child said $?"
sleep 1 & kill -TERM $! && wait $! || echo "and this one died of signal $(($? - 128))"

title "/tmp is ours"
echo "written in the sandbox" >/tmp/donjon-demo
cat /tmp/donjon-demo

title "what is written to the rest stays in the sandbox, too"
(echo "the guest was here" >/etc/donjon-demo) 2>&1 && cat /etc/donjon-demo
echo
'

if [ -e /etc/donjon-demo ]; then
	echo "BUG: the guest's file is on the host"
	exit 1
fi
