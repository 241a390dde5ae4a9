#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare native, donjon, bubblewrap and runsc on this machine.

Each benchmark is a run of build/bench/micro (see micro.c), a whole program (see programs.py), or
  start   a static program that does nothing, from spawn to its end, 50 times
  getppid_one_cpu   micro's getppid_inline, with one CPU for everything
  idle    a sandbox whose program sleeps: proportional set size of all its processes, CPU ticks
The variants take turns: one alternation runs each benchmark once in each variant, in an order that
rotates.  A figure in the table is the median over alternations of each run's median; a ratio is the
median of the ratios to native within one alternation; for `cpu` it is the ratio of the minima.
A bar is the ratio or the time that donjon is to keep below.  What fails is shown as failed, with the
reason below the table.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

from programs import PATH, PROGRAMS, prepare

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIMEOUT = 120
SPAWNS = 50
IDLE_SECONDS = 10

VARIANTS = {
    "native": [],
    "donjon": [],  # filled in by use_build
    "bwrap": ["bwrap", "--unshare-all", "--die-with-parent", "--dev-bind", "/", "/", "--"],
    "runsc": ["runsc", "--rootless", "--network=none", "--ignore-cgroups", "do"],
}


# The highest ratio to native that donjon may have, or the longest time in ns.
BARS = {"page_touch": 1.2, "mmap_touch_munmap": 2.5, "fork_exit_wait": 3.0, "vfork_exec_wait": 2.0,
        "thread_create_join": 2.0, "cpu": 1.03, "tmpfs_write": 2.0, "tmpfs_read": 2.0,
        **{n: p.bar for n, p in PROGRAMS.items() if p.bar}}
LIMITS = {"getppid": 4e3, "getppid_inline": 4e3, "getppid_one_cpu": 10e3, "getppid_parked": 10e3,
          "getppid_busy": 12e3, "stat": 5e3, "open_close": 7e3, "start": 15e6, "true": 20e6}


class Failed(Exception):
    pass


def use_build(directory):
    """Where the programs are."""
    global MICRO, TRUE, WORK
    MICRO, TRUE = f"{directory}/bench/micro", f"{directory}/bench/true"
    WORK = f"{directory}/bench"
    VARIANTS["donjon"] = [f"{directory}/donjon", "run", "--"]


# ---- One run ----

def last_words(text):
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else ""


def spawn(argv, **kwargs):
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **kwargs)


def run_micro(prefix, name, options):
    """What `micro NAME` prints, as a dictionary."""
    child = spawn(prefix + [MICRO, *options, name], stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        end(child)
        raise Failed(f"no end after {TIMEOUT} s") from None
    if child.returncode != 0 and not out:
        raise Failed(f"exit status {child.returncode}: {last_words(err)}")
    try:
        result = json.loads(last_words(out))
    except ValueError:
        raise Failed(f"printed no result: {last_words(out) or '(nothing)'}") from None
    if "error" in result or child.returncode != 0:
        raise Failed(result.get("error", f"exit status {child.returncode}"))
    return result


def report(name, unit, samples):
    samples = sorted(samples)
    return {"name": name, "unit": unit, "n": len(samples),
            "median_ns": statistics.median(samples), "min_ns": samples[0],
            "p99_ns": samples[len(samples) - 1 - len(samples) // 100]}


def run_spawns(argv, count):
    """Times from spawn to end, in ns. The program's output goes nowhere, but through a pipe: some
    programs do nothing when they see /dev/null."""
    sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    null = os.open("/dev/null", os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in
               ((null, 0), (sink.stdin.fileno(), 1), (null, 2))]
    samples = []
    try:
        began = time.monotonic()
        while len(samples) < count and (not samples or time.monotonic() - began < 10):
            start = time.perf_counter_ns()
            pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
            _, status = os.waitpid(pid, 0)
            samples.append(time.perf_counter_ns() - start)
            if status != 0:
                raise Failed(f"exit status {os.waitstatus_to_exitcode(status)}")
    finally:
        os.close(null)
        sink.stdin.close()
        sink.wait()
    return samples


def run_program(prefix, name):
    program = PROGRAMS[name]
    if not program.rate:
        return report(name, "run", run_spawns(prefix + program.argv, program.runs))
    child = spawn(prefix + program.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        end(child)
        raise Failed(f"no end after {TIMEOUT} s") from None
    try:
        return report(name, "request", [1e9 / float(out.split()[0])])
    except (ValueError, IndexError, ZeroDivisionError):
        raise Failed(f"exit status {child.returncode}: {last_words(err)}") from None


def run_one(prefix, name, options):
    if name == "start":
        return report(name, "run", run_spawns(prefix + [TRUE], SPAWNS))
    if name in PROGRAMS:
        return run_program(prefix, name)
    if name == "getppid_one_cpu":
        cpu = max(os.sched_getaffinity(0))
        return run_micro(["taskset", "-c", str(cpu), *prefix], "getppid_inline", options)
    return run_micro(prefix, name, options)


# ---- Footprint ----

def adopt_orphans():
    """Processes whose parent dies become ours, so that the process tree misses none."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans():
    """Not to be called while a child is still to be waited for."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def descendants():
    """The pids of the live processes below this one."""
    children, zombies = {}, set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            children.setdefault(int(parent), []).append(int(entry))
            if state == "Z":
                zombies.add(int(entry))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return [pid for pid in found if pid not in zombies]


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def end(child):
    """End a sandbox, and whatever it left behind."""
    child.terminate()
    try:
        child.wait(2)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    deadline = time.monotonic() + 5
    while (left := descendants()) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    reap_orphans()


def run_idle(prefix):
    """Memory and CPU time of a sandbox whose program sleeps."""
    child = spawn(prefix + [MICRO, "--sleep"], stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        if child.poll() is not None:
            raise Failed(f"exit status {child.returncode}")
        pids = descendants()
        before = {pid: cpu_ticks(pid) for pid in pids}
        time.sleep(IDLE_SECONDS)
        if child.poll() is not None:
            raise Failed(f"exit status {child.returncode}")
        pids = descendants()
        ticks = sum(cpu_ticks(pid) - before.get(pid, 0) for pid in pids)
        processes = []
        for pid in pids:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                processes.append({"name": file.read().strip(), "pss_kib": pss_kib(pid)})
        return {"name": "idle", "pss_kib": sum(p["pss_kib"] for p in processes), "ticks": ticks,
                "seconds": IDLE_SECONDS, "processes": processes}
    except OSError as error:
        raise Failed(f"cannot read the footprint: {error}") from None
    finally:
        end(child)


# ---- All runs ----

def attempt(function, *args):
    try:
        return function(*args)
    except Failed as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"cannot run: {error}"}


def alternate(names, variants, count, options, progress):
    """{benchmark: {variant: [result of each alternation]}}"""
    results = {name: {v: [] for v in variants} for name in names}
    for turn in range(count):
        for at, name in enumerate(names):
            for i in range(len(variants)):
                variant = variants[(turn + at + i) % len(variants)]
                runs = results[name][variant]
                progress(f"{turn + 1}/{count} {name} {variant}")
                if any("no end after" in r.get("error", "") for r in runs):
                    runs.append(runs[0])
                else:
                    runs.append(attempt(run_one, VARIANTS[variant], name, options))
                reap_orphans()
    return results


def summarise(name, runs, native):
    """One cell: the medians, and the ratio to native."""
    errors = [r["error"] for r in runs if "error" in r]
    if errors:
        return {"failed": len(errors), "of": len(runs), "error": errors[0]}
    cell = {"unit": runs[0]["unit"], "n": runs[0]["n"],
            "median_ns": statistics.median(r["median_ns"] for r in runs),
            "min_ns": min(r["min_ns"] for r in runs),
            "p99_ns": statistics.median(r["p99_ns"] for r in runs)}
    if native and not any("error" in r for r in native):
        if name == "cpu":
            cell["ratio"] = cell["min_ns"] / min(r["min_ns"] for r in native)
        else:
            cell["ratio"] = statistics.median(
                r["median_ns"] / n["median_ns"] for r, n in zip(runs, native))
    return cell


def human(ns):
    for limit, unit, scale in ((1e3, "ns", 1), (1e6, "µs", 1e3), (1e9, "ms", 1e6)):
        if ns < limit:
            value = ns / scale
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def bar(name):
    if name in LIMITS:
        return human(LIMITS[name])
    return f"{BARS[name]:.3g} x" if name in BARS else ""


def misses(name, cell):
    """Is donjon's figure over its bar?"""
    return (cell.get("median_ns", 0) > LIMITS.get(name, float("inf")) or
            cell.get("ratio", 0) > BARS.get(name, float("inf")))


def print_table(summary, variants):
    width = max(len(name) for name in [*summary, "benchmark"])
    header = f"{'benchmark':{width}}  {'per':10}"
    for v in variants:
        header += f"  {v:>9}" if v == "native" else f"  {v:>9}  {'ratio':>7}"
        header += f"  {'bar':>6}" if v == "donjon" else ""
    print(header)
    print("-" * len(header))
    for name, cells in summary.items():
        unit = next((c["unit"] for c in cells.values() if "unit" in c), "")
        line = f"{name:{width}}  {unit:10}"
        for v in variants:
            cell = cells[v]
            line += f"  {human(cell['median_ns']) if 'unit' in cell else 'failed':>9}"
            if v != "native":
                line += f"  {cell['ratio']:>7.2f}" if "ratio" in cell else f"  {'-':>7}"
            if v == "donjon":
                line += f"  {bar(name):>6}"
        print(line + ("  missed" if misses(name, cells.get("donjon", {})) else ""))


def print_idle(idle):
    print(f"\nidle: processes, proportional set size, CPU ticks in {IDLE_SECONDS} s")
    for variant, cell in idle.items():
        if "error" in cell:
            print(f"  {variant:8} failed")
        else:
            names = ", ".join(f"{p['name']} {p['pss_kib']}" for p in cell["processes"])
            print(f"  {variant:8} {cell['pss_kib'] / 1024:6.2f} MiB  {cell['ticks']:3} ticks  "
                  f"({names} KiB)")


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"kernel": os.uname().release, "cpu": model, "cpus": os.cpu_count(),
            "load": os.getloadavg()[0], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def choose_variants(wanted):
    """The variants to run; says why one is left out."""
    chosen = []
    for name in wanted:
        if name not in VARIANTS:
            sys.exit(f"run.py: no variant '{name}'; there are {', '.join(VARIANTS)}")
        if VARIANTS[name] and not shutil.which(VARIANTS[name][0]):
            print(f"{name}: {VARIANTS[name][0]} is not installed, left out")
        else:
            chosen.append(name)
    return chosen


def choose_benchmarks(names, only):
    """Those that are named, or begin so."""
    chosen = set()
    for wanted in filter(None, only.split(",")):
        found = {wanted} & set(names) or {n for n in names if n.startswith(wanted)}
        if not found:
            sys.exit(f"run.py: no benchmark '{wanted}'; there are {', '.join(names)}")
        chosen |= found
    return [n for n in names if n in chosen] if only else names


def installed_programs():
    """Names of the programs that can run; says what is missing for the others."""
    names = []
    for name, program in PROGRAMS.items():
        if missing := program.missing():
            print(f"{name}: {missing} is not installed, left out")
        else:
            names.append(name)
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="these benchmarks: NAME,... (prefixes will do)")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="these variants: NAME,...")
    parser.add_argument("--alternations", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="3 alternations")
    parser.add_argument("--threads-parked", type=int, default=1000)
    parser.add_argument("--build", default=f"{ROOT}/build", help="the build directory")
    parser.add_argument("--json", help="written there; BUILD/bench.json by default")
    args = parser.parse_args()
    use_build(os.path.abspath(args.build))
    if not os.access(MICRO, os.X_OK):
        sys.exit(f"run.py: {MICRO} is missing; run make bench")

    listed = subprocess.run([MICRO, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    names = choose_benchmarks(listed.stdout.split() + ["getppid_one_cpu", "start"] +
                              installed_programs() + ["idle"],
                              args.only)
    # The sandbox shows the directory that it is started in, even if it is below /tmp.
    prepare(WORK)
    os.chdir(WORK)
    os.environ["PATH"] = PATH
    variants = choose_variants(args.variants.split(","))
    count = 3 if args.quick else args.alternations
    tty = sys.stderr.isatty()

    def progress(text):
        if tty:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    adopt_orphans()
    about = machine()
    measured = [n for n in names if n != "idle"]
    results = alternate(measured, variants, count,
                        ["--threads-parked", str(args.threads_parked)], progress)
    idle = {}
    if "idle" in names:
        for variant in variants:
            progress(f"idle {variant}")
            idle[variant] = attempt(run_idle, VARIANTS[variant])
    progress("")

    summary = {name: {v: summarise(name, runs, results[name].get("native"))
                      for v, runs in results[name].items()} for name in measured}
    print(f"{about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, load "
          f"{about['load']:.2f}; {count} alternations\n")
    if summary:
        print_table(summary, variants)
    if idle:
        print_idle(idle)

    failures = [f"{name} {v}: {c['error']} ({c['failed']} of {c['of']} runs)"
                for name, cells in summary.items() for v, c in cells.items() if "error" in c]
    failures += [f"idle {v}: {c['error']}" for v, c in idle.items() if "error" in c]
    if failures:
        print("\nfailed:")
        for failure in failures:
            print(f"  {failure}")

    path = args.json or f"{os.path.dirname(os.path.dirname(MICRO))}/bench.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "alternations": count, "variants": variants,
                   "summary": summary, "idle": idle, "runs": results}, file, indent=1)
    print(f"\nwritten: {path}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
