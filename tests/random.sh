#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Random system calls in the sandbox, by seeds: the kernel must neither die nor hang.
# SEEDS says how many of each program (default 4); FIRST the first seed.

: "${DONJON:?path of the binary}" "${BUILD:?directory of the build}"
DONJON=$(readlink -f "$DONJON")
cd "$BUILD/../hostile" || exit 1
work=$(mktemp -d /tmp/random.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
first=${FIRST:-1} seeds=${SEEDS:-4} number=0 failed=0

echo "1..$((2 * seeds))"
for program in randcall randstate; do
	seed=$first
	while [ "$seed" -lt $((first + seeds)) ]; do
		number=$((number + 1))
		timeout -k 5 65 "$DONJON" run --timeout 60s -- \
			"./$program" "$seed" --in-sandbox >"$work/out" 2>&1
		status=$?
		if [ $status -eq 0 ]; then
			echo "ok $number - $program $seed"
		else
			echo "not ok $number - $program $seed"
			echo "# exit status $status"
			tail -n 30 "$work/out" | sed 's/^/# /'
			failed=1
		fi
		seed=$((seed + 1))
	done
done
exit $failed
