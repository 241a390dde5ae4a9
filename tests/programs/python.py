# Run by python3: json, asyncio, an http server and its client on loopback, sqlite3, subprocess,
# threading and a multiprocessing pool of 4. The output is the same in every run.
import asyncio
import http.client
import http.server
import json
import multiprocessing
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading


def square(n):
    return n * n


def test_json():
    value = {"list": list(range(5)), "text": "grün", "none": None, "nested": {"x": [1.5, True]}}
    assert json.loads(json.dumps(value)) == value
    print(json.dumps(value, sort_keys=True))


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def talk(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for i in range(10):
        writer.write(f"client {n} line {i}\n".encode())
        await writer.drain()
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()
    return answers


async def test_asyncio():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(talk(port, n) for n in range(8)))
    server.close()
    await server.wait_closed()
    print(answers[3][7], sum(len(a) for a in answers))

    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=subprocess.PIPE,
                                                 stdout=subprocess.PIPE)
    out, _ = await child.communicate(b"through cat " * 10000)
    print("asyncio child", child.returncode, len(out))
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except asyncio.TimeoutError:
        print("timed out")
    loop = asyncio.get_running_loop()
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(got.wait(), 10)
    print("thread", await asyncio.to_thread(square, 12))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(self.path.encode() * 100)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"]))[::-1])

    def log_message(self, *args):
        pass


def test_http():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        total = 0
        for i in range(10):
            client = http.client.HTTPConnection(*server.server_address, timeout=20)
            for _ in range(5):
                client.request("GET", f"/{i}")
                total += len(client.getresponse().read())
            client.request("POST", "/", body=bytes(range(256)) * 1000)
            answer = client.getresponse().read()
            assert answer == (bytes(range(256)) * 1000)[::-1]
            client.close()
        server.shutdown()
        thread.join()
    print("http", total)
    try:
        socket.create_connection(server.server_address, timeout=20)
    except ConnectionRefusedError:
        print("refused")


def test_sqlite(directory):
    base = sqlite3.connect(f"{directory}/base.db")
    base.execute("pragma journal_mode=wal")
    base.execute("create table t (id integer primary key, name text)")
    with base:
        base.executemany("insert into t (name) values (?)", ((f"name {i}",) for i in range(2000)))
    other = sqlite3.connect(f"{directory}/base.db")
    print("sqlite", other.execute("select count(*), max(name) from t").fetchone())
    base.execute("begin immediate")
    try:
        other.execute("pragma busy_timeout=10")
        other.execute("begin immediate")
    except sqlite3.OperationalError as error:
        print(error)
    base.rollback()
    other.close()
    base.close()


def test_subprocess():
    done = subprocess.run(["/bin/sh", "-c", "cat; echo err >&2; exit 3"], input=b"in" * 50000,
                          capture_output=True, check=False)
    print("subprocess", done.returncode, len(done.stdout), done.stderr)
    try:
        subprocess.run(["/bin/sleep", "100"], timeout=0.05, check=False)
    except subprocess.TimeoutExpired:
        print("expired")
    for how in ({}, {"close_fds": False}, {"start_new_session": True}, {"preexec_fn": os.getpid}):
        child = subprocess.Popen(["/bin/sh", "-c", "kill -TERM $$"], **how)
        print(child.wait(), end=" ")
    try:
        subprocess.run(["/nonexistent"], check=False)
    except FileNotFoundError as error:
        print(error)


def test_threading():
    todo, done = queue.Queue(), queue.Queue()

    def work():
        while (n := todo.get()) is not None:
            done.put(square(n))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for n in range(2000):
        todo.put(n)
    for _ in threads:
        todo.put(None)
    for thread in threads:
        thread.join()
    print("threads", sum(done.get() for _ in range(2000)), threading.active_count())
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=barrier.wait, args=(20,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_multiprocessing():
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(4) as pool:
            print(method, sum(pool.map(square, range(1000), chunksize=20)))
    context = multiprocessing.get_context("fork")
    counter, lock = context.Value("i", 0), context.Lock()

    def count():
        for _ in range(50):
            with lock:
                counter.value += 1

    children = [context.Process(target=count) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print("shared", counter.value, [child.exitcode for child in children])


if __name__ == "__main__":
    test_json()
    asyncio.run(test_asyncio())
    test_http()
    with tempfile.TemporaryDirectory() as name:
        test_sqlite(name)
    test_subprocess()
    test_threading()
    test_multiprocessing()
    sys.exit(7)
