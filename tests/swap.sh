#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A second process swaps symbolic links, directories and fifos under a bind mount as fast as it can
# while the guest looks up paths there: none leaves the mount. SWAP_LOOKUPS says how many paths
# (1000000 for the full test).
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"
count=${SWAP_LOOKUPS:-20000}
cd "$WORK" || exit 1

# The outside is not to be seen in the guest's root either.
mkdir -p root inside outside root/bin
cp "$OUT/programs/swaprace" root/bin/
{ echo OUTSIDE && head -c 4234 /dev/zero; } >outside/secret
cp outside/secret outside/keep
(
	cd inside || exit 1
	mkdir -p dir deep/a deep/flat move/sub
	echo inside | tee dir/file file deep/a/f move/sub/f deep/flat/f >/dev/null
	ln -s "$WORK/outside" link && ln -s "$WORK/outside/secret" dir/flink
	ln -s .. deep/up && mkfifo fifo deep/fifo
)

race() {
	local name=$1 bind=$2 swapper
	rm -f inside/stop
	"$OUT/programs/swaprace" host "$WORK/inside" "$WORK/outside" >swapped &
	swapper=$!
	timeout -k 5 "${SWAP_TIMEOUT:-600}" "$DONJON" run --rootfs root --bind "$bind" -- \
		/bin/swaprace guest /mnt "$count" >saw 2>&1 </dev/null
	status=$?
	: >inside/stop
	wait "$swapper"
	is "$name: no fifo was opened" $? 0
	is "$name: none of $count look-ups left the mount" "$status:$(<saw)" 0:
	note "the host: $(<swapped)"
	[[ -d inside/move ]] || mv outside/moved inside/move
}
race "read-only" "$WORK/inside:/mnt:ro"
race "writable" "$WORK/inside:/mnt"
is "nothing was made outside" "$(ls outside | sort | xargs)" "keep secret"
cmp -s outside/secret outside/keep
ok $? "nothing was changed outside"
is "nor its mode" "$(stat -c %a outside/secret)" "$(stat -c %a outside/keep)"
done_testing
