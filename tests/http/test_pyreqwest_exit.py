"""The interpreter ends while a transport on pyreqwest is alive in one way or another: exit code 0, no word.

Without ``rxorch.http.pyreqwest_transport.exit`` some of these programs end with "Fatal Python error" and exit
code -6, one time in four or each time.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMES = 3

PROLOGUE = """
import asyncio, contextlib, socket, sys, threading, time
from yarl import URL
from rxorch.http.body import StreamedBody
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.request import Request

def serve(peer):
    with peer, contextlib.suppress(OSError):
        while data := peer.recv(65536):
            if b"/never" in data:
                peer.recv(1)
            elif b"/half" in data:
                peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 200000\\r\\n\\r\\n" + b"x" * 1000)
            elif b"/slow" in data:
                time.sleep(0.05)
            if b"/drain" not in data:
                peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
base = f"http://127.0.0.1:{listener.getsockname()[1]}"

def get(path):
    return Request("GET", URL(base + path))

async def some(count, path):
    for _ in range(count):
        tasks.append(asyncio.ensure_future(transport.send(get(path))))
    await asyncio.sleep(0.045)

tasks = []
transport = PyreqwestTransport(connection_reuse=True)
"""

PROGRAMS = {
    "closed": """
async def main():
    await transport.send(get("/"))
    await transport.aclose()
asyncio.run(main())
""",
    "never closed": """
async def main():
    await transport.send(get("/"))
asyncio.run(main())
""",
    "never used": "",
    "in flight when the loop closes": """
asyncio.run(some(20, "/slow"))
""",
    "in flight on a loop that only stops": """
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(some(20, "/slow"))
asyncio.tasks._all_tasks.clear()  # that they are pending still is not what this is about
for task in tasks:
    task._log_destroy_pending = False
""",
    "cancelled before the answer": """
async def main():
    await some(20, "/slow")
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
asyncio.run(main())
""",
    "never answered": """
asyncio.run(some(20, "/never"))
""",
    "sys.exit": """
async def main():
    await some(20, "/slow")
    sys.exit(0)
asyncio.run(main())
""",
    "an answer half read": """
async def main():
    global stream
    stream = transport.stream(get("/half"))
    response = await stream.__aenter__()
    await anext(response.pieces)
asyncio.run(main())
""",
    "an upload under way": """
async def main():
    request = Request("POST", URL(base + "/drain"), body=bytes(500_000_000))
    tasks.append(asyncio.ensure_future(transport.send(request)))
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "an upload of pieces under way": """
def pieces():
    while True:
        yield bytes(10_000)
async def main():
    request = Request("POST", URL(base + "/drain"), body=StreamedBody(pieces))
    tasks.append(asyncio.ensure_future(transport.send(request)))
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "threads at work": """
async def work():
    mine = PyreqwestTransport()
    while True:
        await mine.send(get("/"))
def thread():
    try:
        asyncio.run(work())
    except BaseException:
        time.sleep(10)  # the transport is closed to it: the interpreter ends
for _ in range(3):
    threading.Thread(target=thread, daemon=True).start()
time.sleep(0.3)
""",
    "an error that nobody sees": """
async def main():
    listener.close()
    tasks.append(asyncio.ensure_future(transport.send(Request("GET", URL("http://127.0.0.1:9/")))))
    await asyncio.wait(tasks)
    tasks[0].exception()
asyncio.run(main())
""",
}


def run(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + program],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_the_end_of_the_interpreter_is_silent(program: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, [program] * TIMES)) == [(0, "")] * TIMES
