"""kill -9 at random moments of a stream with a ledger: nothing is lost, and nothing done twice unnoticed."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxorch.ledger import Ledger
from tests.conftest import ServeLoopback

ROOT = Path(__file__).parents[2]


class Shop:
    """Counts every order by its key, and says now and then that it is busy."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.keys: dict[str, Counter[str]] = defaultdict(Counter)
        self.reached = asyncio.Event()
        self.wanted = 0

    async def order(self, request: web.Request) -> web.Response:
        self.keys[request.match_info["n"]][request.headers["Idempotency-Key"]] += 1
        if sum(map(len, self.keys.values())) >= self.wanted:
            self.reached.set()
        if self.random.random() < 0.02:
            return web.json_response({}, status=503)
        return web.json_response({"order": request.match_info["n"]})

    async def check(self, request: web.Request) -> web.Response:
        return web.json_response({})


async def start(url: str, ledger: Path, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.crash.shop_program",
        url,
        str(ledger),
        str(count),
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def trial(serve: ServeLoopback, path: Path, count: int, kills: int, seed: int) -> dict[str, Any]:
    """Kill the program at random numbers of orders, let the last one end, and compare the books."""
    shop = Shop(seed)
    server = await serve({"POST /orders/{n}": shop.order, "GET /checks/{n}": shop.check})
    moments = sorted(shop.random.sample(range(1, count), kills))
    in_flight_at_kills = 0
    for moment in moments:
        shop.reached.clear()
        shop.wanted = moment
        program = await start(server.url, path, count)
        await shop.reached.wait()
        program.send_signal(signal.SIGKILL)
        await program.communicate()
        in_flight_at_kills += Ledger(path).counts().in_flight
    shop.wanted = count * 10
    program = await start(server.url, path, count)
    out, errors = await program.communicate()
    assert (program.returncode, errors.decode()) == (0, "")
    figures: dict[str, Any] = json.loads(out)
    records = list(Ledger(path).records())
    assert Counter(record.key for record in records) == Counter(str(n) for n in range(count))
    assert {record.status for record in records} == {"ok"}
    assert set(shop.keys) == {str(n) for n in range(count)}  # 0 lost
    assert max(len(keys) for keys in shop.keys.values()) == 1  # a repeated order has the key seen before
    assert len({key for keys in shop.keys.values() for key in keys}) == count
    orders = sum(sum(keys.values()) for keys in shop.keys.values())
    return {**figures, "orders": orders, "repeats": orders - count, "in_flight_at_kills": in_flight_at_kills}


async def test_a_stream_that_is_killed_goes_on(loopback: ServeLoopback, tmp_path: Path) -> None:
    figures = await trial(loopback, tmp_path / "run.sqlite", 600, 4, seed=7)
    assert figures["repeated"] <= 20 and figures["skipped"] + figures["ok"] == 600
    assert figures["repeats"] > 0  # something was in flight: the trial can fail


@pytest.mark.soak
async def test_killed_twenty_times(loopback: ServeLoopback, tmp_path: Path) -> None:
    print(await trial(loopback, tmp_path / "run.sqlite", 5_000, 20, seed=11))
