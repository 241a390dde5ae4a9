#!/bin/sh
# Runs guest tests natively and, if asked to, inside Donjon, and compares.
#
#	run.sh BIN_DIR [--donjon PATH] [NAME...]
#
# BIN_DIR holds the compiled tests, by default those of the .c files beside this script. A test is
# "ok" if natively its TAP is complete and all ok, and its TAP inside Donjon is the same. Prints one
# TAP line a program, with the differing lines after a failed one.

set -u
here=$(dirname "$0")
if [ $# -lt 1 ]; then
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
bin=$1
shift
donjon=
if [ "${1:-}" = --donjon ]; then
	donjon=$2
	shift 2
fi
if [ $# -eq 0 ]; then
	for source in "$here"/*.c; do
		name=${source##*/}
		set -- "$@" "${name%.c}"
	done
fi

# The sandbox shows the caller's directory, though it be below /tmp; so the tests are run from theirs.
here=$(cd "$here" && pwd) && bin=$(cd "$bin" && pwd) || exit 2
case $donjon in */*) donjon=$(cd "$(dirname "$donjon")" && pwd)/${donjon##*/} ;; esac
cd "$bin" || exit 2

work=$(mktemp -d /tmp/guest-run.XXXXXX) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# complete FILE STATUS: TAP with a plan that is kept, nothing failed, exit status 0.
complete() {
	[ "$2" -eq 0 ] && awk '
		/^ok /       { count++ }
		/^not ok /   { failed = 1 }
		/^Bail out!/ { failed = 1 }
		/^1\.\.[0-9]+$/ { plan = substr($0, 4); planned = 1 }
		END { exit !(planned && plan == count && !failed) }' "$1"
}

# fail NAME WHERE FILE STATUS: a failed test, and what its output was but for the "ok" lines.
fail() {
	echo "not ok $number - $1"
	echo "# $2: exit status $4"
	grep -v '^ok ' "$3" | head -n 40 | sed 's/^/# /'
	failed=$((failed + 1))
}

passed=0 failed=0 number=0
echo "1..$#"
for name; do
	number=$((number + 1))
	timeout -k 5 120 "./$name" >"$work/native" 2>"$work/native.err" </dev/null
	status=$?
	if ! complete "$work/native" $status; then
		cat "$work/native.err" >>"$work/native"
		fail "$name" native "$work/native" $status
		continue
	fi
	if [ -z "$donjon" ]; then
		echo "ok $number - $name"
		passed=$((passed + 1))
		continue
	fi
	timeout -k 5 150 "$donjon" run --timeout 120s -- "./$name" \
		>"$work/donjon" 2>"$work/donjon.err" </dev/null
	status=$?
	grep -a '^ok ' "$work/native" >"$work/native.ok"
	grep -a '^ok ' "$work/donjon" >"$work/donjon.ok"
	if complete "$work/donjon" $status && cmp -s "$work/native.ok" "$work/donjon.ok"; then
		echo "ok $number - $name"
		passed=$((passed + 1))
	else
		tail -n 20 "$work/donjon.err" >>"$work/donjon"
		fail "$name" donjon "$work/donjon" $status
		diff "$work/native.ok" "$work/donjon.ok" | grep '^[<>]' | head -n 40 |
			sed 's/^</# only native:/; s/^>/# only donjon:/'
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
