# SPDX-License-Identifier: Apache-2.0
"""What the lint checks share.

A check calls fail() for each thing that is wrong and ends with finish(), which prints its one line
(or the failures and then its line) and exits.
"""

import concurrent.futures
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)
NAME = os.path.basename(sys.argv[0])
BUILD = os.environ.get("BUILD", "build/release")
SCRATCH = f"{os.path.dirname(BUILD)}/lint"
CACHE = f"{SCRATCH}/cache"
JOBS = 2

_failures = []


def fail(message):
    """message: "file:line: what is wrong; what to do"."""
    _failures.append(message)


def finish(what):
    """what: what was checked, for the line that a success prints."""
    if not _failures:
        print(f"ok    {NAME}: {what}")
        sys.exit(0)
    for message in list(dict.fromkeys(_failures)):
        print(message)
    print(f"FAIL  {NAME}: {len(set(_failures))} problem(s)")
    sys.exit(1)


def need(tool):
    if not shutil.which(tool):
        fail(f"{tool} is missing; run tools/install-deps.sh lint")
        finish("")
    return tool


def sources(*suffixes, under=("src",)):
    """All files below the directories `under` that end in one of the suffixes, sorted."""
    found = []
    for top in under:
        for directory, _, names in os.walk(top):
            found += [os.path.join(directory, n) for n in names if n.endswith(suffixes)]
    return sorted(found)


def objects():
    """(source, object) of each object of the release build whose source still exists."""
    found = []
    for source in sources(".c", ".S"):
        path = f"{BUILD}/obj/{source}.o"
        if os.path.exists(path):
            found.append((source, path))
        elif not source.startswith(("src/cli/main.c",)):
            fail(f"{source}:1: has no object in {BUILD}; run make first")
    return found


def layer(path):
    """The layer of src/LAYER/...; None outside src."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def is_bare(path):
    """Freestanding code, which runs in the guest's process."""
    return path.startswith(("src/platform/systrap/stub/", "src/loader/vdso/"))


@functools.lru_cache
def compile_flags(compiler, warnings=True):
    """The flags that the Makefile compiles with, for syntax checks."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    out = subprocess.run(["make", "-s", f"CC={compiler}", f"O={os.path.dirname(BUILD)}", "print-flags"], env=env,
                         stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    return [f for f in out if warnings or not f.startswith("-W")]


def bare_flags(path):
    return ["-ffreestanding", "-mgeneral-regs-only"] if is_bare(path) else []


def strip_comments(text, strings=True):
    """C source with comments (and strings) blanked out, line numbers unchanged."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'" and not strings:
            return token
        return re.sub(r"[^\n]", " ", token)

    return re.sub(pattern, blank, text, flags=re.S)


def run(argv):
    """(exit status, output with stderr) of a command."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def cached_run(argv, source, compiler, flags, *extra_inputs):
    """run(argv), remembered for as long as the preprocessed source and the inputs stay the same."""
    state, text = run([compiler, *flags, "-E", source])
    key = hashlib.sha256(repr((argv, state, extra_inputs)).encode() + text.encode())
    for path in extra_inputs:
        with open(path, "rb") as file:
            key.update(file.read())
    with open(source, "rb") as file:
        key.update(file.read())
    path = os.path.join(CACHE, key.hexdigest())
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return 0, file.read()
    status, output = run(argv)
    if status == 0:
        os.makedirs(CACHE, exist_ok=True)
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            file.write(output)
        os.rename(f"{path}.{os.getpid()}", path)
    return status, output


def parallel(function, items):
    """[function(item)] in order, a few at a time."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(function, items))
