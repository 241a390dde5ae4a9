#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drive `donjon run` on a terminal: a shell with job control, full-screen programs, the modes of the
caller's terminal.  Prints TAP.  What can be run natively too is, and compared.

usage: terminal.py DONJON
"""

import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time

DONJON = sys.argv[1]
LIMIT = 60  # seconds for anything to happen: only a hang takes so long
count = failed = 0


def ok(passed, name, detail=""):
    global count, failed
    count += 1
    print(f"{'ok' if passed else 'not ok'} {count} - {name}", flush=True)
    if not passed:
        failed += 1
        for line in str(detail).splitlines()[:20]:
            print(f"#   {line}")


class Timeout(Exception):
    pass


class Terminal:
    """A host pty with a program on it, in a session of its own."""

    def __init__(self, argv, rows=24, cols=80, env=None):
        self.master, slave = os.openpty()
        self.slave = slave
        self.seen = b""
        self.set_size(rows, cols)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(slave, fd)
            os.closerange(3, 256)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup(1) may have ignored it
            os.environ.update(env or {})
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8", HISTFILE="/dev/null")
            os.execvp(argv[0], argv)
        self.status = None

    def set_size(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, data):
        os.write(self.master, data.encode() if isinstance(data, str) else data)

    def expect(self, pattern):
        """Read until the regular expression matches; returns all before its end, and drops it."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        end = time.monotonic() + LIMIT
        while True:
            match = re.search(pattern, self.seen, re.S)
            if match:
                text = self.seen[:match.end()]
                self.seen = self.seen[match.end():]
                return text.decode(errors="replace")
            self.fill(end, pattern)

    def fill(self, end, pattern):
        if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            raise Timeout(f"waited for {pattern!r}, got {self.seen[-600:]!r}")
        self.seen += os.read(self.master, 65536)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        """Set so by the command: a shell that edits its line leaves signals on."""
        return not self.modes()[3] & (termios.ICANON | termios.ISIG)

    def until(self, condition, what):
        end = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > end:
                raise Timeout(f"waited until {what}; got {self.seen[-600:]!r}")
            time.sleep(0.02)

    def wait(self):
        """The exit status; what is still to be read is read meanwhile."""
        end = time.monotonic() + LIMIT
        while self.status is None:
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise Timeout(f"no end; got {self.seen[-600:]!r}")
        return self.status

    def close(self):
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
        os.close(self.slave)
        os.close(self.master)


def sandboxed(*argv):
    return [DONJON, "run", "--timeout", "300s", "--", *argv]


def plain(*argv):
    """Without a timeout, with which the command does not stop."""
    return [DONJON, "run", "--", *argv]


PROMPT = r"\[\d+\]> "


def shell(argv):
    t = Terminal(argv)
    t.send("bind 'set enable-bracketed-paste off'; PS1='[$?''\\x5d> '\r")
    t.send("PS1='[$?]''> '\r")
    t.expect(PROMPT)
    return t


def run(t, command):
    """One command line; its output without the echo of the line."""
    t.send(command + "\r")
    text = t.expect(PROMPT)
    return text.split("\r\n", 1)[1] if "\r\n" in text else text


def in_state(t, job_state):
    """Wait until the shell's job is there: what `jobs` says."""
    for _ in range(LIMIT * 20):
        text = run(t, "jobs")
        if job_state in text:
            return text
        time.sleep(0.05)
    raise Timeout(f"no job {job_state}: {text}")


def foreground(t, command, marker):
    """Start a command that prints marker, and wait for that."""
    t.send(command + "\r")
    t.expect(r"\n" + marker)


def shell_session(argv):
    """What a shell on a terminal shows, step by step, with numbers of processes left out."""
    t = shell(argv)
    log = []

    def step(name, text):
        text = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", text)
        log.append((name, re.sub(r"\b\d{2,}\b", "N", text)))

    try:
        step("stty", run(t, "stty -a"))
        step("tty", re.sub(r"\d+", "N", run(t, "tty")))
        foreground(t, "sh -c 'echo run\"\"ning; exec sleep 1000'", "running\r\n")
        t.send("\x03")
        step("^C", t.expect(PROMPT))
        foreground(t, "sh -c 'echo run\"\"ning; exec cat'", "running\r\n")
        t.send("line\r")
        t.expect("line\r\nline\r\n")
        t.send("\x1a")
        step("^Z", t.expect(PROMPT))
        step("jobs", run(t, "jobs"))
        run(t, "bg")
        in_state(t, "Stopped")  # cat wants input
        t.send("fg\r")
        t.expect("cat'\r\n")
        t.send("again\r")
        t.expect("again\r\nagain\r\n")
        t.send("\x04")
        step("^D", t.expect(PROMPT))
        foreground(t, "sh -c 'echo run\"\"ning >&2; exec cat' | cat", "running\r\n")
        t.send("\x1a")
        step("^Z of a pipeline", t.expect(PROMPT))
        t.send("fg\r")
        t.expect("cat\r\n")
        t.send("more\r")  # read only once the pipeline is in front
        t.expect("more\r\nmore\r\n")
        t.send("\x03")
        step("^C of a pipeline", t.expect(PROMPT))
        foreground(t, "sh -c 'echo run\"\"ning; exec sleep 1000'", "running\r\n")
        t.send("\x1c")
        step("^\\", re.sub(r" \(core dumped\)", "", t.expect(PROMPT)))
        t.send("read -s -p 'Password: ' word; echo; echo \"<$word>\"\r")
        t.expect("\nPassword: ")
        t.send("secret\r")
        step("a password", t.expect(PROMPT))
        t.send("stty raw -echo; echo ra''w; dd bs=1 count=2 2>/dev/null | od -An -c; stty sane\r")
        t.expect("\nraw")
        t.send("\r\x03")
        step("raw mode", t.expect(PROMPT).replace("\r", ""))
        step("sane again", run(t, "stty -a | grep -c '[^-]echo '"))
        step("setsid", run(t, "setsid -w sh -c 'echo x >/dev/tty' 2>&1 | grep -c 'No such device'"))
        step("script", re.sub(r"pts/\d+", "pts/N", run(t, "script -qec 'tty; stty size' /dev/null"))
             .replace("\r", ""))
        step("spawn", run(t, "python3 -c 'import pty; pty.spawn([\"sh\", \"-c\", \"test -t 0 && "
                             "echo a terminal\"])'"))
        step("/dev/tty", run(t, "(echo there >/dev/tty) >/dev/null"))
        step("ps", re.sub(r"pts/\d+", "pts/N", run(t, "ps -o tty,stat,comm --no-headers")))
        step("tpgid", run(t, "test $(ps -o tpgid= -p $$) -gt 0 && echo yes"))
        step("background output", run(t, "sleep 0 & wait; echo done").split("\n")[-2])
        step("nohup", run(t, "trap '' TTOU; (stty -echo; stty echo) & wait $!; echo $?")[-20:])
        t.send("exit 7\r")
        step("status", str(t.wait()))
        if argv[0] == DONJON:
            ok(t.modes() == t.before, "the terminal's modes after a shell", t.modes())
    except Timeout as error:
        raise Timeout(f"{argv[0]}, after {log[-1][0]}: {error}") from error
    finally:
        t.close()
    return log


def test_shell():
    native = shell_session(["bash", "--norc", "-i"])
    donjon = shell_session(plain("bash", "--norc", "-i"))
    for (name, want), (_, got) in zip(native, donjon):
        ok(got == want, f"a shell: {name}", f"natively {want!r}\nhere     {got!r}")
    ok(len(native) == len(donjon), "all steps")


def test_window():
    t = shell(plain("bash", "--norc", "-i"))
    try:
        ok("24 80" in run(t, "stty size"), "the window's size at start")
        run(t, "trap 'echo win''ch $(stty size)' WINCH")
        t.set_size(50, 132)
        t.send("\r")
        t.expect(r"winch 50 132")
        ok(True, "a change of it is told")
    finally:
        t.close()


def test_stop():
    """The first process stops: the caller's terminal is given back, and taken again."""
    t = Terminal(["bash", "--norc", "-i"])
    try:
        t.send("bind 'set enable-bracketed-paste off'\r")
        t.send("PS1='[$?]''> '\r")
        t.expect(PROMPT)
        command = " ".join(plain("sh", "-c", "\"echo run''ning; trap 'stty size' WINCH; cat\""))
        foreground(t, command, "running")
        t.until(t.is_raw, "the terminal is raw")
        t.send("there\r")
        t.expect("there\r\nthere\r\n")  # a shell that waits in vfork does not stop
        t.send("\x1a")
        text = t.expect(PROMPT)
        ok("Stopped" in text, "^Z stops the command", text)
        ok("sane" in run(t, "stty -a | grep -q ' icanon' && echo sane"), "the terminal is given back")
        t.set_size(30, 90)
        t.send("fg\r")
        t.until(t.is_raw, "the terminal is raw")
        t.send("hello\r")
        t.expect("hello\r\nhello\r\n")
        ok(True, "fg goes on, with its children")
        t.send("\x1a")
        t.expect(PROMPT)
        t.send("bg\r")
        t.expect(PROMPT)
        ok("sane" in run(t, "stty -a | grep -q ' icanon' && echo sane"),
           "in the background it leaves the terminal alone")
        t.send("fg\r")
        t.until(t.is_raw, "the terminal is raw")
        t.send("\x03")
        text = t.expect(PROMPT)
        ok("[130]" in text, "^C ends it", text)
        ok("Stopped" not in run(t, "jobs") and "Running" not in run(t, "jobs"), "for good")
    finally:
        t.close()


def test_background_hang_up():
    """In the background the end of the terminal is noticed too."""
    t = Terminal(["bash", "--norc", "-i"])
    try:
        t.send("PS1='[$?]''> '\r")
        t.expect(PROMPT)
        t.send(" ".join(plain("sh", "-c", "\"echo run''ning; cat\"")) + " & echo pid:$!:\r")
        text = t.expect(r"pid:\d+:") + t.expect("running")
        job = int(re.search(r"pid:(\d+):", text).group(1))
        os.kill(t.pid, signal.SIGKILL)
        os.waitpid(t.pid, 0)
        t.status = 0
    finally:
        t.close()
    end = time.monotonic() + LIMIT
    while os.path.exists(f"/proc/{job}") and time.monotonic() < end:
        time.sleep(0.05)
    gone = not os.path.exists(f"/proc/{job}")
    ok(gone, "a hang-up ends a command in the background")
    if not gone:
        os.kill(job, signal.SIGKILL)


def test_ends():
    """Whatever ends the sandbox, the terminal's modes come back."""
    for name, finish, want in (
            ("by itself", lambda t: t.send("\r"), 5),
            ("by SIGTERM", lambda t: os.kill(t.pid, signal.SIGTERM), 128 + 15),
            ("by the kernel's death", lambda t: os.kill(child_of(t.pid), signal.SIGKILL), 125),
    ):
        t = Terminal(plain("sh", "-c", "stty raw -echo; echo ready; head -c1 >/dev/null; exit 5"))
        try:
            t.expect("ready")
            t.until(t.is_raw, "the terminal is raw")
            finish(t)
            status = t.wait()
            ok(status == want and t.modes() == t.before, f"modes after an end {name}",
               f"status {status}, {t.modes()}")
        finally:
            t.close()


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return int(file.read().split()[0])


def test_hang_up():
    t = Terminal(sandboxed("bash", "--norc", "-c",
                           "trap 'exit 9' HUP; echo ready; while read x; do :; done; sleep 5; exit 8"))
    t.expect("ready")
    os.close(t.slave)
    os.close(t.master)
    for _ in range(LIMIT * 20):
        pid, status = os.waitpid(t.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.05)
    else:
        os.kill(t.pid, signal.SIGKILL)
        os.waitpid(t.pid, 0)
        status = 0
    ok(os.waitstatus_to_exitcode(status) in (9, 129, -1), "a hang-up of the caller's terminal is the "
       "guest's", os.waitstatus_to_exitcode(status))


def test_output():
    """Much output, all of it, in order, and what comes last."""
    t = Terminal(sandboxed("sh", "-c", "seq 100000; printf end"))
    try:
        status = t.wait()
        while select.select([t.master], [], [], 0)[0]:
            t.seen += os.read(t.master, 65536)
        want = "".join(f"{i}\r\n" for i in range(1, 100001)) + "end"
        ok(status == 0 and t.seen == want.encode(), "100,000 lines of output",
           f"status {status}, {len(t.seen)} bytes, wanted {len(want)}")
    finally:
        t.close()


def test_input():
    """More input than fits anywhere at once."""
    t = Terminal(sandboxed("sh", "-c", "stty raw -echo; echo ready; head -c 200000 | cksum"))
    try:
        t.expect("ready")
        data = bytes(range(256)) * 782
        fcntl.fcntl(t.master, fcntl.F_SETFL, os.O_NONBLOCK)
        sent = 0
        end = time.monotonic() + LIMIT
        while sent < 200000 and time.monotonic() < end:
            select.select([], [t.master], [], 1)
            try:
                sent += os.write(t.master, data[sent:min(sent + 4096, 200000)])
            except BlockingIOError:
                pass
        fcntl.fcntl(t.master, fcntl.F_SETFL, 0)
        text = t.expect(r"\d+ 200000")
        crc = os.popen(f"{sys.executable} -c \"import sys; sys.stdout.buffer.write("
                       f"(bytes(range(256)) * 782)[:200000])\" | cksum").read().split()[0]
        ok(crc in text, "200,000 bytes of input", f"{text!r}, wanted {crc}")
    finally:
        t.close()


def test_programs():
    if os.path.exists("/usr/bin/less"):
        t = Terminal(sandboxed("less", "/etc/services"))
        try:
            t.expect("services")
            t.send("G")
            t.expect(r"END")
            t.send("q")
            ok(t.wait() == 0, "less")
        finally:
            t.close()
    if os.path.exists("/usr/bin/vim"):
        t = Terminal(sandboxed("sh", "-c", "vim -u NONE -N /tmp/text && cat /tmp/text"))
        try:
            t.expect(r"\[New")
            t.send("ihello from vim\x1b:wq\r")
            t.expect("hello from vim\r\n")
            ok(t.wait() == 0, "vim")
        finally:
            t.close()
    t = Terminal(sandboxed("python3", "-q"))
    try:
        t.expect(">>> ")
        t.send("6 * 7\r")
        t.expect("\r\n42\r\n")
        t.send("import getpass; getpass.getpass()\r")
        t.expect("Password: ")
        t.send("word\r")
        t.expect("'word'")
        t.send("while True: pass\r\r")
        t.expect(r"\.\.\. ")
        time.sleep(0.2)
        t.send("\x03")
        t.expect("KeyboardInterrupt")
        t.expect(">>> ")
        t.send("exit(4)\r")
        ok(t.wait() == 4, "python", f"status {t.status}, {t.seen}")
    finally:
        t.close()


def test_partial():
    """Only one of standard input and output is a terminal: it is passed through, in its modes."""
    t = Terminal(["sh", "-c", f"{DONJON} run -- sh -c 'test -t 0 && echo in; test -t 1 || echo out; "
                  f"read x; echo \"<$x>\"' | cat"])
    try:
        t.expect("in\r\nout\r\n")
        ok(not t.is_raw(), "output to a pipe: the terminal keeps its modes")
        t.send("word\r")
        t.expect("<word>")
        ok(t.wait() == 0, "and is read")
    finally:
        t.close()
    t = Terminal(["sh", "-c", f"echo word | {DONJON} run -- sh -c 'test -t 1 && cat'"])
    try:
        t.expect("word\r\n")
        ok(t.wait() == 0, "input from a pipe")
    finally:
        t.close()


def main():
    for test in (test_shell, test_window, test_stop, test_ends, test_hang_up,
                 test_background_hang_up, test_output,
                 test_input, test_programs, test_partial):
        try:
            test()
        except (Timeout, OSError) as error:
            ok(False, test.__name__, error)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
