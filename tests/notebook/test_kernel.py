"""What happens in a notebook, through a real kernel: interrupts, cells that are run again, errors, cards.

One kernel for all: to start one takes seconds. Each test uses names of its own in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.threaded import ThreadedLoopback
from tests.notebook.kernel import Cell, Kernel
from tests.support.loopback import Loopback

FIRST = 5
"""Things that are answered at once; those after them never are."""

CANARY = "s3cretCANARY"

SETUP = """
import asyncio
from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, ApiClient, parallel, sequential
from rxorch.notebook import background, backgrounds, live

things = APIEndpoint(name="things", url="{url}/things/{{id}}?token={canary}", retry_count=0)
first = APIEndpoint(name="first", url="{url}/things/1", retry_count=0)
hangs = APIEndpoint(name="hangs", url="{url}/things/99", retry_count=0)
gone = APIEndpoint(name="gone", url="{url}/gone?token={canary}", retry_count=0)

def numbers(start=0):
    while True:
        yield {{"id": start}}
        start += 1

def left_behind():
    kernels = ("ipykernel", "zmq", "IPython")
    return [task for task in asyncio.all_tasks() if not any(name in repr(task) for name in kernels)]
"""


async def thing(request: web.Request) -> Any:
    number = int(request.match_info["id"])
    if number >= FIRST:
        await asyncio.Event().wait()
    return {"id": number, "name": CANARY}


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedLoopback]:
    with ThreadedLoopback({"GET /things/{id}": thing, "GET /gone": 404}) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: ThreadedLoopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        good(kernel.run(SETUP.format(url=server.url, canary=CANARY)))
        yield kernel


def good(cell: Cell) -> Cell:
    assert not cell.error, "\n".join(cell.traceback)
    return cell


def at_rest(server: ThreadedLoopback) -> None:
    asyncio.run(server.until(lambda loopback: loopback.in_flight == 0))


def hung(loopback: Loopback) -> int:
    """Calls that were never answered, so far."""
    things = ((path.rpartition("/")[2], hits) for path, hits in loopback.hits.items())
    return sum(hits for number, hits in things if number.isdigit() and int(number) >= FIRST)


def begin(kernel: Kernel, server: ThreadedLoopback, code: str, calls: int) -> str:
    """Begins a cell, and waits until so many of its calls hang."""
    before = hung(server.loopback)
    begun = kernel.begin(code)
    asyncio.run(server.until(lambda loopback: loopback.in_flight == calls == hung(loopback) - before))
    return begun


def interrupted(kernel: Kernel, server: ThreadedLoopback, code: str, calls: int) -> Cell:
    """Interrupts a cell when so many calls hang; nothing of it may be left, but one line."""
    begun = begin(kernel, server, code, calls)
    kernel.interrupt()
    cell = kernel.end(begun)
    assert cell.error == "RunInterrupted"
    assert len(cell.traceback) == 1 and "\n" not in cell.traceback[0]
    assert "interrupted" in cell.traceback[0]
    at_rest(server)
    assert good(kernel.run("left_behind()")).value["text/plain"] == "[]"
    return cell


def only(cell: Cell) -> dict[str, Any]:
    (forms,) = cell.shown.values()
    return forms


def test_an_interrupt_of_a_stream_keeps_what_was_done(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(
        kernel,
        server,
        "shop = APIOrchestrator(things)\n"
        "runs = live(shop.stream(numbers(), max_concurrent=3), name='shop')\n"
        "await runs",
        calls=3,
    )
    assert "5 ok, 0 failed, 3 cut off" in cell.traceback[0]
    assert "interrupted" in only(cell)["text/html"] and "running" not in only(cell)["text/html"]
    kept = good(
        kernel.run("print(runs.state, [(run.input['id'], run.ok, run.cut_off) for run in runs.results])")
    )
    done = [(number, True, False) for number in range(5)]
    assert kept.printed == f"interrupted {done + [(number, False, True) for number in range(5, 8)]}\n"


def test_an_interrupt_of_a_loop_over_a_stream(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(
        kernel,
        server,
        "seen = []\nasync for run in APIOrchestrator(things).stream(numbers(), max_concurrent=2):\n"
        "    seen.append(run.index)",
        calls=2,
    )
    assert "5 ok, 0 failed" in cell.traceback[0]
    assert good(kernel.run("sorted(seen)")).value["text/plain"] == "[0, 1, 2, 3, 4]"


def test_an_interrupt_of_a_loop_over_a_handle(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(
        kernel,
        server,
        "looped = live(APIOrchestrator(things).stream(numbers(), max_concurrent=2))\n"
        "async for run in looped:\n    pass",
        calls=2,
    )
    assert "5 ok, 0 failed" in cell.traceback[0]
    assert good(kernel.run("print(looped.state, len(looped.results))")).printed == "interrupted 5\n"


def test_an_interrupt_of_execute_keeps_the_partial_result(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(kernel, server, "await APIOrchestrator(sequential(first, hangs)).execute({})", calls=1)
    assert "1 of 2 endpoints had ended" in cell.traceback[0]
    partial = good(kernel.run("import sys; part = sys.last_value.result; print(part['first']['id'], part)"))
    assert partial.printed.startswith("1 <OrchestrationResult first=ok, hangs=cancelled;")


@pytest.mark.parametrize("what", ["observe({})", "execute({})"])
def test_an_interrupt_of_one_run_in_a_handle(kernel: Kernel, server: ThreadedLoopback, what: str) -> None:
    interrupted(
        kernel,
        server,
        f"one = live(APIOrchestrator(sequential(first, hangs)).{what})\nawait one",
        calls=1,
    )
    found = good(kernel.run("print(one.state, one.value['first']['id'], one.value.outcomes['hangs'].status)"))
    assert found.printed == "interrupted 1 cancelled\n"


def test_an_interrupt_of_a_run_that_is_recorded(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(kernel, server, "await APIOrchestrator(hangs).record({})", calls=1)
    assert cell.traceback == ["interrupted: the run was cut off"]


def test_an_interrupt_of_a_call(kernel: Kernel, server: ThreadedLoopback) -> None:
    cell = interrupted(
        kernel, server, "async with ApiClient() as client:\n    await client.call(hangs)", calls=1
    )
    assert "'hangs'" in cell.traceback[0]


def test_an_interrupt_of_who_waits_for_a_saga(kernel: Kernel) -> None:
    begun = kernel.begin(
        "from rxorch.saga import Saga, wait_for\n"
        "async with Saga('order', [wait_for('paid')]) as saga:\n"
        "    order = await saga.start({}, run_id='order-7')\n"
        "    print('waiting')\n"
        "    await order"
    )
    kernel.until(lambda: kernel.left(begun).printed != "")
    kernel.interrupt()
    cell = kernel.end(begun)
    assert cell.traceback == ["interrupted: nobody waits for 'order-7' any more, and it goes on"]


def test_an_interrupt_of_who_waits_for_the_background(kernel: Kernel, server: ThreadedLoopback) -> None:
    code = "kept = background('kept', APIOrchestrator(things).stream(numbers(), max_concurrent=2))"
    good(kernel.end(begin(kernel, server, code, calls=2)))
    begun = kernel.begin("print('now')\nawait kept")
    kernel.until(lambda: kernel.left(begun).printed != "")
    kernel.interrupt()
    cell = kernel.end(begun)
    assert cell.traceback == ["interrupted: 'kept' goes on in the background"]
    assert good(kernel.run("print(kept.state)")).printed == "running\n"
    good(kernel.run("await kept.aclose()"))
    at_rest(server)
    assert good(kernel.run("print(kept.state, len(kept.results), left_behind())")).printed == "closed 5 []\n"


def test_a_loop_inside_of_a_cell_is_left_alone(kernel: Kernel, server: ThreadedLoopback) -> None:
    code = """
from rxorch.testing import MockTransport
from rxorch_operators.testing import run_virtual

canned = MockTransport({"first": {"id": 1}}, delay=0.5)
run_virtual(APIOrchestrator(first, transport=canned).execute({})).ok"""
    assert good(kernel.run(code)).value["text/plain"] == "True"  # else a timer of ours is left on its loop
    test_an_interrupt_of_a_call(kernel, server)  # and the loop of the kernel is still kept awake


def test_a_cell_that_is_run_again_replaces_its_background_stream(
    kernel: Kernel, server: ThreadedLoopback
) -> None:
    code = (
        "prices = background('prices', APIOrchestrator(things).stream(numbers(), max_concurrent=3))\n"
        "older = [*locals().get('older', []), prices]"
    )
    first = begin(kernel, server, code, calls=3)
    good(kernel.end(first))
    second = begin(kernel, server, code, calls=3)
    good(kernel.end(second))
    kernel.until(lambda: "closed" in only(kernel.left(first))["text/html"])
    found = good(
        kernel.run("print([str(each.state) for each in older], list(backgrounds())[-1])\nbackgrounds()")
    )
    assert found.printed == "['closed', 'running'] prices\n"
    assert "prices" in found.value["text/html"] and "running" in found.value["text/plain"]
    good(kernel.run("await prices.aclose()"))
    at_rest(server)


def test_a_cell_has_one_panel_also_where_the_older_run_takes_its_time_to_end(kernel: Kernel) -> None:
    good(
        kernel.run(
            "may_end = asyncio.Event()\n"
            "async def slow_to_end():\n"
            "    try:\n"
            "        yield 1\n"
            "        await asyncio.Event().wait()\n"
            "    finally:\n"
            "        await may_end.wait()"
        )
    )
    code = "slow = background('slow', slow_to_end())"
    first = kernel.begin(code)
    kernel.until(lambda: first in kernel.ended and "1</" in only(kernel.left(first))["text/html"])
    second = kernel.begin(code)
    good(kernel.end(second))
    good(kernel.run("may_end.set()"))
    kernel.until(lambda: "running" in only(kernel.left(second))["text/plain"])
    assert [kernel.left(cell).placed for cell in (first, second)] == [1, 1]
    good(kernel.run("await slow.aclose()"))


def test_an_error_in_the_background_is_shown_where_it_began(kernel: Kernel) -> None:
    begun = kernel.begin("bad = background('bad', APIOrchestrator(gone).stream([{}], on_error='fail_fast'))")
    kernel.until(lambda: begun in kernel.ended and "404" in only(kernel.left(begun))["text/html"])
    assert "404" in only(kernel.left(begun))["text/plain"]
    found = good(kernel.run("print(bad.state, type(bad.error).__name__, len(bad.results))\nbackgrounds()"))
    assert found.printed == "failed ApiHttpError 1\n"
    assert "404" in found.value["text/plain"]
    raised = kernel.run("await bad")
    assert raised.error == "ApiHttpError"
    assert CANARY not in str([raised.traceback[-1], kernel.left(begun), found])


def test_a_panel_ends_as_a_card_that_can_be_exported(kernel: Kernel) -> None:
    cell = good(kernel.run("await live(APIOrchestrator(first).stream([{}, {}, {}]), name='three')"))
    forms = only(cell)
    assert forms["text/plain"].startswith("three done, ") and "3 ok, 0 failed" in forms["text/plain"]
    assert "✓ done" in forms["text/html"] and "3/3" in forms["text/html"]
    assert cell.value["text/plain"] == "<Runs: 3>" and "3 ok" in cell.value["text/html"]


def test_the_events_of_an_orchestrator_can_be_watched(kernel: Kernel, server: ThreadedLoopback) -> None:
    code = "shop2 = APIOrchestrator(first)\nwatched = background('events', shop2.events)"
    begun = kernel.begin(code)
    kernel.end(begun)
    good(kernel.run("await shop2.execute({})\nawait shop2.execute({})"))
    kernel.until(lambda: "2 ok, 0 failed" in only(kernel.left(begun))["text/plain"])
    good(kernel.run("await watched.aclose()"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("things", "GET"),
        ("APIOrchestrationConfig(endpoints=[things, gone], mode='parallel')", "parallel"),
        ("APIOrchestrator(parallel(things, gone))", "2 endpoints"),
        ("await APIOrchestrator(parallel(first, gone)).execute({})", "1 failed"),
        ("APIOrchestrator(things).stream([{'id': 1}])", "of 1"),
        ("(await APIOrchestrator(gone).execute({})).errors['gone']", "ApiHttpError"),
        ("live(APIOrchestrator(things).stream([{'id': 1}]))", "waiting"),
    ],
)
def test_the_last_line_of_a_cell_is_a_card(kernel: Kernel, what: str, said: str) -> None:
    cell = good(kernel.run(what))
    forms = cell.value or only(cell)
    assert {"text/plain", "text/html"} <= set(forms)
    assert said in forms["text/html"]
    assert CANARY not in str(forms)
