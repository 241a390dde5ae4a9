#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The sandbox on a terminal: lib/terminal.py drives it.
: "${DONJON:?path of the binary}"
command -v python3 >/dev/null || {
	echo "1..0 # SKIP no python3"
	exit 0
}
exec python3 "$(dirname "$0")/lib/terminal.py" "$(readlink -f "$DONJON")"
