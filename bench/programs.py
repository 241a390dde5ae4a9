# SPDX-License-Identifier: Apache-2.0
"""The whole programs of bench/run.py, and what they work on.

A program is run from spawn to end, in a directory that holds `tree` (10,000 small files of text in
100 directories), `small.c` and `redis.sh`. One that prints a number measures itself: operations a
second.
"""

import os
import random
import shutil

# The system's programs, not those of whoever runs this.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DIRECTORIES = 100
FILES = 100  # in each
WORDS = ("donjon keep tower moat bridge gate wall stone arrow guard cellar stair torch chain "
         "lock key bell rope well stable").split()

SMALL_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node { struct node *left, *right; int key; };

static struct node *insert(struct node *n, int key)
{
	if (!n) {
		n = calloc(1, sizeof(*n));
		n->key = key;
	} else if (key < n->key) {
		n->left = insert(n->left, key);
	} else {
		n->right = insert(n->right, key);
	}
	return n;
}

static int depth(const struct node *n)
{
	int l, r;

	if (!n)
		return 0;
	l = depth(n->left);
	r = depth(n->right);
	return 1 + (l > r ? l : r);
}

int main(void)
{
	struct node *root = NULL;

	for (int i = 0; i < 1000; i++)
		root = insert(root, rand());
	printf("%d\n", depth(root));
	return 0;
}
"""

REDIS_SH = """\
# redis.sh tcp|unix: what redis-benchmark says of SET and GET, in requests a second.
set -eu
dir=$(mktemp -d /tmp/redis.XXXXXX)
trap 'rm -rf "$dir"' EXIT
case $1 in
tcp) where='-h 127.0.0.1 -p 6398' ;;
unix) where="-s $dir/socket" ;;
esac
ln -s "$(command -v redis-check-rdb)" "$dir/redis-server" # the same program by its other name
"$dir/redis-server" --bind 127.0.0.1 --port 6398 --unixsocket "$dir/socket" --save '' --dir "$dir" \
	>"$dir/log" &
tries=0
until [ "$(redis-cli $where ping 2>"$dir/error")" = PONG ]; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || exit 1
	sleep 0.05
done
redis-benchmark $where -c 50 -n 30000 -t set,get --csv | tr -d '"' |
	awk -F, '$1 == "SET" || $1 == "GET" { time += 1 / $2; n++ } END { print n / time }'
redis-cli $where shutdown nosave
wait
"""


class Program:
    """argv; runs: how many in one alternation; bar: the highest ratio to native that we accept."""

    def __init__(self, argv, bar, runs=3, needs=(), rate=False):
        self.argv, self.bar, self.runs, self.rate = argv, bar, runs, rate
        self.needs = (argv[0], *needs)

    def missing(self):
        """A command that it needs and that is not installed, or None."""
        return next((c for c in self.needs if not shutil.which(c, path=PATH)), None)


def shell(script, bar, **kwargs):
    return Program(["sh", "-c", script], bar, **kwargs)


PROGRAMS = {
    "true": Program(["/bin/true"], None, runs=20),
    "shell_loop": Program(["bash", "-c", "for ((i = 0; i < 1000; i++)); do /bin/true; done"], 3.0,
                          runs=1),
    "python_imports": Program(["/usr/bin/python3", "-c", "import asyncio, email, http.server, json, "
                               "logging, multiprocessing, sqlite3, ssl, subprocess, threading, "
                               "unittest, urllib.request, xml.dom.minidom"], 2.0),
    "gcc": Program(["gcc", "-O2", "-c", "small.c", "-o", "/tmp/small.o"], 2.0),
    "find": Program(["find", "tree", "-type", "f", "-size", "+100k"], 4.0),
    "tar": shell("tar cf - tree | wc -c", 4.0),
    "grep": shell("grep -rc 'drawbridge$' tree | wc -l", 4.0),
    "redis_tcp": Program(["sh", "redis.sh", "tcp"], 1 / 0.3, runs=1, rate=True,
                         needs=("redis-check-rdb", "redis-benchmark")),
    "redis_unix": Program(["sh", "redis.sh", "unix"], None, runs=1, rate=True,
                          needs=("redis-check-rdb", "redis-benchmark")),
}


def write_tree(path):
    """The same files every time, of up to 8 KiB."""
    source = random.Random(1)
    text = "".join(source.choice(WORDS) + (" " if source.random() < 0.9 else "\n")
                   for _ in range(20000))
    for d in range(DIRECTORIES):
        directory = f"{path}/d{d}"
        os.makedirs(directory)
        for f in range(FILES):
            start = source.randrange(len(text) - 8192)
            with open(f"{directory}/f{f}", "w", encoding="ascii") as file:
                file.write(text[start:start + source.randrange(8192)])


def prepare(directory):
    """Fill directory with what the programs work on."""
    os.makedirs(directory, exist_ok=True)
    for name, text in (("small.c", SMALL_C), ("redis.sh", REDIS_SH)):
        with open(f"{directory}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    tree = f"{directory}/tree"
    if not os.path.isdir(tree):
        shutil.rmtree(f"{tree}.new", ignore_errors=True)
        write_tree(f"{tree}.new")
        os.rename(f"{tree}.new", tree)
