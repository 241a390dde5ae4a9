# SPDX-License-Identifier: Apache-2.0
"""Compare CPython's test suites natively and in Donjon; see tests/cpython.sh.

Each suite is run by `python3 -m test -v`, whose output says what became of each test. A test that
does not end is a failure, and the suite is run once more without it.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HANGS_MAX = 8
START = re.compile(r"^(\w+) \(((?:test\.)?[A-Za-z_][\w<>]*\.[\w.<>]+)\)")
OUTCOME = re.compile(r"(?:^|\.\.\. ?|[^\w'])(ok|FAIL|ERROR|expected failure|unexpected success"
                     r"|skipped ['\"].*)$")
TIMEOUT = re.compile(r"Timeout \(\d+:\d\d:\d\d\)!$", re.M)
HEADER = re.compile(r"^(FAIL|ERROR): (\w+) \(([\w.<>]+)\)")
ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "PATH", "TERM", "USER", "LOGNAME", "SHELL")


class Run:
    """What one run of a suite said: outcome by test, and its text."""

    def __init__(self):
        self.outcome = {}
        self.detail = {}
        self.trouble = None
        self.seconds = 0.0


def test_name(method, where):
    """CLASS.METHOD; Python 3.11 puts the method at the end of where, too."""
    parts = [p for p in where.split(".") if p != "test"]
    if parts and parts[-1] == method:
        parts.pop()
    return ".".join(parts + [method])


def parse(text, run):
    """Fill in run from the output of -v; returns the test that was under way at its end."""
    current = None
    header = None
    for line in text.splitlines():
        failed = HEADER.match(line)
        if failed:
            header = test_name(failed[2], failed[3])
            run.outcome[header] = failed[1]
            run.detail.setdefault(header, [])
            current = None
            continue
        if header is not None:
            run.detail[header].append(line)
            if line.startswith("======") or line.startswith("Ran "):
                header = None
            continue
        start = START.match(line)
        if start:
            current = test_name(start[1], start[2])
        done = OUTCOME.search(line)
        if done and current:
            word = done[1]
            run.outcome[current] = "skipped" if word.startswith("skipped") else word
            if word.startswith("skipped"):
                run.detail[current] = [word[8:]]
            current = None
    return current


def no_signal_ignored():
    """In the background, shells and nohup ignore what suites take to have its default action."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def execute(argv, env, limit):
    """Output, status (None: it did not end) of argv in a process group of its own."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, env=env, start_new_session=True,
                                 preexec_fn=no_signal_ignored)
        try:
            status = child.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        out.seek(0)
        return out.read().decode(errors="replace"), status


def run_suite(prefix, args, suite, excluded, env):
    """Run suite behind prefix, again without what does not end."""
    run = Run()
    begin = time.monotonic()
    hung = []
    while True:
        argv = prefix + [args.python, "-m", "test", "-v", "--timeout", str(args.timeout)]
        for name in excluded + hung:
            argv += ["-i", name if "*" in name or "." not in name else "*." + name]
        text, status = execute(argv + [suite], env, args.timeout + 60)
        if args.keep:
            where = "donjon" if prefix else "native"
            with open(os.path.join(args.keep, f"{suite}.{where}"), "w", encoding="utf-8") as file:
                file.write(text)
        current = parse(text, run)
        stuck = status is None or TIMEOUT.search(text)
        if not stuck and not re.search(r"^(Ran \d+ test|Tests? result:|Result:|== Tests result)",
                                       text, re.M):
            run.trouble = f"status {status}: " + " | ".join(text.splitlines()[-3:])
        if not stuck:
            break
        if current is None or len(hung) >= HANGS_MAX:
            run.trouble = "did not end"
            break
        run.outcome[current] = "hang"
        hung.append(".".join(current.split(".")[-2:]))
    for name in hung:
        for full in run.outcome:
            if full.endswith("." + name):
                run.outcome[full] = "hang"
    run.seconds = time.monotonic() - begin
    return run


def exceptions(path):
    """{suite: [(pattern, reason)]}"""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line:
                what, reason = line.split(";", 1)
                suite, pattern = what.split()
                found.setdefault(suite, []).append((pattern, reason.strip()))
    return found


def good(outcome):
    return outcome in ("ok", "expected failure", "skipped")


def compare(suite, native, donjon, args):
    """Print how the two differ; returns (passed, failed)."""
    names = sorted(set(native.outcome) | set(donjon.outcome))
    passed = failed = both_bad = skipped = 0
    lines = []
    for name in names:
        here, there = native.outcome.get(name), donjon.outcome.get(name)
        if there is None and here == "skipped" or here is None and good(there):
            continue
        if there == "skipped" and here in ("ok", "expected failure"):
            lines.append(f"  only skipped in Donjon: {name}: {' '.join(donjon.detail[name])}")
            skipped += 1
        elif good(there):
            passed += there != "skipped"
        elif here is not None and not good(here):
            both_bad += 1
        else:
            failed += 1
            lines.append(f"  FAILED {name}: {there or 'not run'}, natively {here or 'not run'}")
            detail = [text for text in donjon.detail.get(name, []) if text.strip()]
            lines += ["    | " + text for text in detail[-args.lines:]]
    if donjon.trouble and not native.trouble:
        failed += 1
        lines.append(f"  FAILED {suite}: {donjon.trouble}")
    if native.trouble:
        lines.append(f"  natively: {native.trouble}")
    print(f"{'FAIL' if failed else 'ok':4}  {suite}: {passed} passed, {failed} failed; {skipped} "
          f"skipped here only, {both_bad} fail natively; native {native.seconds:.0f} s, "
          f"donjon {donjon.seconds:.0f} s")
    for line in lines:
        print(line)
    sys.stdout.flush()
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--donjon", required=True)
    parser.add_argument("--except", dest="exceptions", required=True)
    parser.add_argument("--timeout", type=int, default=900,
                        help="seconds for a suite, which then says where it is")
    parser.add_argument("--keep", help="a directory for the whole output",
                        default=os.environ.get("CPYTHON_KEEP"))
    parser.add_argument("--lines", type=int, default=4, help="of a failure's text")
    parser.add_argument("suites", nargs="+")
    args = parser.parse_args()

    env = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    left_out = exceptions(args.exceptions)
    total = [0, 0]
    work = tempfile.mkdtemp(prefix="cpython.")
    try:
        for suite in args.suites:
            excluded = left_out.get(suite, [])
            patterns = [pattern for pattern, _ in excluded]
            native = run_suite([], args, suite, patterns, env | {"TMPDIR": work})
            donjon = run_suite([args.donjon, "run", "--"], args, suite, patterns, env)
            for i, n in enumerate(compare(suite, native, donjon, args)):
                total[i] += n
            for pattern, reason in excluded:
                print(f"  not run: {pattern}: {reason}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
