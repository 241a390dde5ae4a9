#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A shell script, Python and a compiler in the sandbox: `make demo`.
set -eu

DONJON=${DONJON:-build/donjon}

"$DONJON" run -- /bin/busybox sh -c '
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

# Programs with shared libraries, of the host's: its root is the sandbox's, but for what is written.
exec "$DONJON" run --env LC_ALL=C.UTF-8 -- /bin/bash -euc '
title() { printf "\n== %s\n" "$1"; }

title "a dynamic program, and what it has mapped"
echo "bash $BASH_VERSION"
grep -c "\.so" /proc/$$/maps | xargs echo "mappings of shared libraries:"

title "Python: threads, a subprocess, a web server and its client"
python3 - <<"END"
import http.server, subprocess, threading, urllib.request

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello over the loopback of the sandbox")
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_port).read().decode())
print(subprocess.run(["uname", "-n"], capture_output=True, text=True).stdout.strip())
END

title "gcc: compile and run"
cd /tmp
cat >hello.c <<"END"
#include <stdio.h>
int main(void)
{
	printf("compiled and run in the sandbox\n");
}
END
gcc -O2 -o hello hello.c && ./hello
'
