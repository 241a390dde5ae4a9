#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The overlay over the host's root: a guest changes what was there before as it could natively, sees
# its changes, and the host keeps what it has.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016
. "$(dirname "$0")/lib/tap.sh"
sh=("$BB" sh -c)
tree=$(mktemp -d /var/tmp/overlay.XXXXXX) || exit 1
native=$(mktemp -d /var/tmp/overlay.XXXXXX) || exit 1
trap 'rm -rf "$tree" "$native"; cleanup' EXIT
chmod 755 "$tree" "$native"
# All that can be seen of a tree, but for times of access.
picture() {
	(cd "$1" && find . -printf '%p %i %M %u %g %s %T@ %C@ %n %l\n' | sort &&
		find . -type f -exec sha256sum {} + | sort)
}
oks() { grep -a '^ok ' <<<"$1"; }

# ---- the guest test in a tree of the host's ----
cd "$OUT/guest" || exit 1
./overlay --make "$tree" && ./overlay --make "$native"
ok $? "two trees"
before=$(picture "$tree")
want=$(timeout 60 ./overlay "$native")
got=$(timeout 100 "$DONJON" run --timeout 90s -- ./overlay "$tree" 2>"$WORK/err")
is "a guest changes a tree of the host's as natively" "$(oks "$got")" "$(oks "$want")" ||
	note "$(grep -v '^ok' <<<"$got")"$'\n'"$(tail "$WORK/err")"
is "the host's tree is as it was" "$(picture "$tree")" "$before"

# ---- a mapping goes on showing what it showed ----
head -c 8192 /dev/zero | tr '\0' l >"$native/pages"
try "$DONJON" run -- ./overlay --grow "$native/pages"
is "a mapping that grows after copy-up is lower's" "$out" ll

# ---- as a shell sees it ----
cd / || exit 1
try "$DONJON" run -- "${sh[@]}" '
	cd "$1" || exit
	echo changed >small && rm -r dir && mkdir dir && ls dir && mv many elsewhere && ls elsewhere | wc -l
	cat small; ls -d many' sh "$tree"
is "files and directories changed in a shell" "$out" $'60\nchanged'
is "the host's tree is still as it was" "$(picture "$tree")" "$before"
try "$DONJON" run -- "${sh[@]}" 'cat "$1/small"; ls "$1/many" | wc -l' sh "$tree"
is "another sandbox starts from what the host has" "$out" $'lower\n60'

# ---- what is removed whole, and made again ----
try "$DONJON" run -- "${sh[@]}" '
	find "$1" | wc -l; cp -a "$1" "$1.copy"; find "$1.copy" | wc -l
	rm -rf "$1"; ls "$1"; mv "$1.copy" "$1"; find "$1" | wc -l; cat "$1/small"' sh "$tree"
count=$(find "$tree" | wc -l)
is "rm -rf, cp -a and mv of a tree" "$out" "$count"$'\n'"$count"$'\n'"$count"$'\nlower'
is "of which the host sees nothing" "$(picture "$tree")" "$before"
[[ ! -e $tree.copy ]]
ok $? "nor of the copy"
done_testing
