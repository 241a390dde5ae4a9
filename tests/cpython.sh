#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cpython.sh [SUITE...]: CPython's own test suites (Debian's libpython3.11-testsuite), natively and
# in the sandbox.  A test passes if it passed, or did not pass natively; one that only the sandbox
# skips is shown.  Ends with "N passed, N failed".  Not a part of `make test`: it takes many minutes.
set -eu

PYTHON=${PYTHON:-/usr/bin/python3}
here=$(cd "$(dirname "$0")" && pwd)
: "${DONJON:?path of the binary}"

if ! "$PYTHON" -c 'import test.test_os' 2>/dev/null; then
	echo "ok 1 - CPython's test suites # SKIP the package libpython3.11-testsuite is not installed"
	exit 0
fi
[ $# -gt 0 ] || set -- test_os test_posix test_mmap test_io test_fcntl test_tempfile test_time \
	test_select test_subprocess test_signal test_threading test_pty test_socket test_asyncio
exec "$PYTHON" "$here/lib/cpython.py" --python "$PYTHON" --donjon "$DONJON" \
	--except "$here/lib/cpython.except" "$@"
