"""The files of docs/deploy: what they say about the server is true, and they do what they are there for."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shlex
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import typer

from rxorch.cli.app import app as cli
from rxorch.saga import MemoryJournal, Saga, wait_for
from rxorch.server import ServerLimits, Serving
from tests.server.conftest import Serve, Upstream, endpoint, parallel_of
from tests.support.loopback import Loopback
from tests.support.services import needs_program

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
UNIT = (DEPLOY / "rxorch.service").read_text()
CONTAINER = (DEPLOY / "Containerfile").read_text()
PROXY = (DEPLOY / "nginx.conf").read_text()
CERTIFICATE = Path(__file__).parents[1] / "http" / "loopback.pem"
PATIENCE = 20.0


def parsed(arguments: list[str]) -> dict[str, object]:
    """The options of `rxorch serve`, as the command itself reads them."""
    command = typer.main.get_command(cli)
    assert arguments[0] == "serve"
    serve = command.commands["serve"]  # type: ignore[attr-defined]
    context = serve.make_context("serve", list(arguments[1:]))
    return dict(context.params)


def setting(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_unit_starts_a_command_that_there_is_and_waits_for_its_end() -> None:
    options = parsed(shlex.split(setting(UNIT, "ExecStart"))[1:])
    assert options["workers"] == 2
    assert isinstance(options["drain_seconds"], float)
    assert int(setting(UNIT, "TimeoutStopSec")) >= options["drain_seconds"] + 10
    assert setting(UNIT, "KillMode") == "mixed"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = needs_program(["systemd-analyze"], "apt-get install systemd")
    unit = tmp_path / "rxorch.service"
    unit.write_text(UNIT.replace("/opt/shop/.venv/bin/rxorch", "/bin/true"))
    done = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "rxorch.service" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def test_the_container_starts_a_command_that_there_is() -> None:
    entry, more = (
        json.loads(re.search(rf"^{name} (\[.*\])$", CONTAINER, re.MULTILINE)[1])  # type: ignore[index]
        for name in ("ENTRYPOINT", "CMD")
    )
    options = parsed([*entry[1:], *more])
    assert (options["host"], options["port"], options["workers"]) == ("0.0.0.0", 8080, 2)


def test_the_proxy_has_the_limits_of_the_server() -> None:
    limits = ServerLimits()
    assert f"client_max_body_size {limits.body_bytes >> 20}m;" in PROXY
    assert f"client_header_timeout {limits.head_seconds:g}s;" in PROXY
    assert f"client_body_timeout {limits.body_seconds:g}s;" in PROXY
    keepalive = re.search(r"keepalive_timeout (\d+)s;", PROXY)
    assert keepalive is not None and int(keepalive[1]) < limits.idle_seconds


@asynccontextmanager
async def proxied(folder: Path, server: Serving) -> AsyncIterator[str]:
    """nginx with the file of the docs; only names of files and ports are others."""
    program = needs_program(["nginx", "/usr/sbin/nginx"], "apt-get install nginx-light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = (
        PROXY.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/certs/api.example.com.pem", str(CERTIFICATE))
        .replace("/etc/ssl/private/api.example.com.key", str(CERTIFICATE))
    )
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{config}}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        program, "-p", folder, "-c", folder / "nginx.conf", stderr=asyncio.subprocess.PIPE
    )
    try:
        await listening(process, port)
        yield f"https://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.stderr is not None
                if process.returncode is not None:
                    raise AssertionError((await process.stderr.read()).decode()) from None
                await asyncio.sleep(0.02)  # until it listens
            else:
                writer.close()
                await writer.wait_closed()
                return


async def test_lines_and_events_go_through_the_proxy_as_they_come(
    services: Loopback, upstream: Upstream, serve: Serve, tmp_path: Path
) -> None:
    saga = Saga("order", [wait_for("go")], journal=MemoryJournal())
    server = await serve({"profile": parallel_of(endpoint(services, "users")), "order": saga})
    trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(CERTIFICATE)))
    async with proxied(tmp_path, server) as url, aiohttp.ClientSession(url, connector=trust) as client:
        async with asyncio.timeout(PATIENCE):
            await lines_both_ways(client)
            await events_of_a_run(client)
            large = io.BytesIO(bytes((1 << 20) + 1))
            async with client.post("/orchestrations/profile", data=large) as response:
                assert response.status == 413
            async with client.get("/docs", headers={"Origin": url}) as response:
                assert response.status == 200


async def lines_both_ways(client: aiohttp.ClientSession) -> None:
    """The answer to the first line is there before the second is sent."""
    answered = asyncio.Event()

    async def two() -> AsyncIterator[bytes]:
        yield b'{"id": 1}\n'
        await answered.wait()
        yield b'{"id": 2}\n'

    headers = {"Content-Type": "application/x-ndjson"}
    async with client.post("/orchestrations/profile/stream", data=two(), headers=headers) as response:
        assert json.loads(await response.content.readline())["index"] == 0
        answered.set()
        assert json.loads(await response.content.readline())["index"] == 1


async def events_of_a_run(client: aiohttp.ClientSession) -> None:
    """The beginning is told before the run can end."""
    headers = {"Prefer": "respond-async", "Idempotency-Key": "order-1"}
    async with client.post("/orchestrations/order", json={}, headers=headers) as response:
        assert response.status == 202
    async with client.get("/runs/order-1/events") as response:
        async for line in response.content:
            if line.startswith(b"event: "):
                break
        async with client.post("/runs/order-1/signal", json={"name": "go"}) as told:
            assert (await told.json())["first"]
        assert b"event: end" in await response.content.read()


@pytest.mark.parametrize("name", ["rxorch.service", "Containerfile", "nginx.conf"])
def test_the_page_names_the_files(name: str) -> None:
    assert f"deploy/{name}" in (DEPLOY.parent / "server.md").read_text()
