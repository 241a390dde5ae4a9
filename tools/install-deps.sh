#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install-deps.sh GROUP...: install the Debian packages of these groups that are missing.
# Groups: build, test, demo, lint, fuzz, bench.  Quiet and quick when nothing is missing.
set -eu

packages() {
	case $1 in
	build) echo gcc libc6-dev binutils make python3 libseccomp-dev ;;
	demo) echo busybox-static ;;
	test)
		echo libcmocka-dev busybox-static bash-static zsh-static procps util-linux
		# Programs that run in the sandbox; large ones (nodejs, openjdk-17-jdk-headless) are
		# tested only where somebody has installed them.
		echo perl git sqlite3 xz-utils redis-tools
		;;
	lint) echo clang-14 clang-format-14 clang-tidy-14 cppcheck ;;
	fuzz) echo clang-14 libclang-rt-14-dev ;;
	bench) echo bubblewrap ;;
	*)
		echo "install-deps.sh: no group '$1'" >&2
		exit 2
		;;
	esac
}

wanted=$(for group in "$@"; do packages "$group"; done)
if ! command -v dpkg-query >/dev/null; then
	echo "install-deps.sh: not a Debian system; make sure you have the equivalents of:" $wanted >&2
	exit 0
fi

missing=
for package in $wanted; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=none
	[ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	sudo=sudo
else
	echo "install-deps.sh: packages are missing; as root, run: apt-get install -y$missing" >&2
	exit 1
fi

echo "Installing:$missing"
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
		</dev/null >/dev/null
}
apt install -y --no-install-recommends $missing 2>/dev/null && exit 0
apt update
apt install -y --no-install-recommends $missing
