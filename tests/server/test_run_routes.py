"""Runs of flows: what became of them, in the background too, listed, cancelled, and forgotten in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIOrchestrationConfig
from rxorch.server import ServerLimits, Serving, create_app
from rxorch.server.run_book import FlowState, RunBook
from rxorch.server.state import STATE
from tests.server.conftest import Ask, Serve, Upstream
from tests.server.raw import connected, post
from tests.server.sse import listening
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"
ASYNC = {"Prefer": "respond-async"}


async def held(request: object) -> Any:
    return await asyncio.get_running_loop().create_future()


async def test_every_answer_names_its_run(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    server = await serve({"profile": profile}, readable=["profile"])
    seen = [await ask("POST", server.url + RUN, json={"id": 7}), await ask("GET", f"{server.url}{RUN}?id=7")]
    upstream.orders = 500
    seen.append(await ask("POST", server.url + RUN, json={"id": 7}))
    upstream.users = 500
    seen.append(await ask("POST", server.url + RUN, json={"id": 7}))
    assert [answer.status for answer in seen] == [200, 200, 206, 502]
    documents = [(await ask("GET", f"{server.url}/runs/{each.headers['X-Run-Id']}")).json for each in seen]
    assert [each["state"] for each in documents] == ["completed", "completed", "partial", "failed"]
    assert documents[0]["result"] == seen[0].json["result"]
    assert documents[2]["outcomes"] == seen[2].json["outcomes"]
    assert documents[3]["problem"] == seen[3].json
    assert documents[3]["outcomes"]["users"]["error"] == {"type": "ApiHttpError", "upstream_status": 500}
    first = documents[0]
    assert (first["flow"], first["kind"], first["problem"]) == ("profile", "flow", None)
    assert first["ended"] == pytest.approx(first["began"] + first["duration"])


async def test_a_run_that_goes_on_in_the_background(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback
) -> None:
    go = asyncio.Event()

    async def user(request: object) -> dict[str, int]:
        await go.wait()
        return {"id": 7}

    upstream.users = user
    server = await serve({"profile": profile})
    headers = {"Prefer": "wait=5, Respond-Async; x=1"}
    begun = await ask("POST", server.url + RUN, json={"id": 7}, headers=headers)
    assert (begun.status, begun.json["state"]) == (202, "running")
    assert begun.headers["Preference-Applied"] == "respond-async"
    assert begun.headers["Location"] == f"/runs/{begun.json['id']}" == f"/runs/{begun.headers['X-Run-Id']}"
    url = server.url + begun.headers["Location"]
    await services.until(lambda: services.hits["/users/7"] == 1)
    assert (await ask("GET", url)).json["ended"] is None
    go.set()
    async with listening(f"{url}/events") as events:
        assert (await events.until("end"))[-1].data["state"] == "completed"
    done = (await ask("GET", url)).json
    assert done["result"] == {"users": {"id": 7}, "orders": [{"order": 1}]}
    assert done["outcomes"]["users"]["provenance"] == "fresh"


async def test_another_preference_changes_nothing(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile})
    answer = await ask("POST", server.url + RUN, json={"id": 7}, headers={"Prefer": "handling=strict"})
    assert (answer.status, "Preference-Applied" in answer.headers) == (200, False)
    assert (await ask("POST", f"{server.url}/orchestrations/no", json={}, headers=ASYNC)).status == 404


async def test_a_flow_heeds_no_key(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    server = await serve({"profile": profile})
    answer = await ask("POST", server.url + RUN, json={"id": 7}, headers={"Idempotency-Key": "once"})
    assert answer.status == 400
    assert services.total == 0


async def test_a_run_in_the_background_is_cancelled(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback
) -> None:
    upstream.users = held
    server = await serve({"profile": profile})
    url = (
        server.url + (await ask("POST", server.url + RUN, json={"id": 7}, headers=ASYNC)).headers["Location"]
    )
    await services.until(lambda: services.hits["/users/7"] == 1)
    async with listening(f"{url}/events") as events:
        assert (await ask("POST", f"{url}/cancel")).status == 202
        assert (await events.until("end"))[-1].data["state"] == "cancelled"
    await services.until_idle()
    assert services.closed_early == 1
    again = await ask("POST", f"{url}/cancel")
    assert (again.status, again.json["detail"]) == (409, "the run is over")


async def test_what_makes_no_sense(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback
) -> None:
    server = await serve({"profile": profile})
    run = (await ask("POST", server.url + RUN, json={"id": 7})).headers["X-Run-Id"]
    for path, body in (("signal", {"name": "paid"}), ("retry", None)):
        assert (await ask("POST", f"{server.url}/runs/{run}/{path}", json=body)).status == 409
    for path in ("", "/events", "/picture"):
        for name in ("nobody", "..%2F..", "%00", "x" * 201):
            assert (await ask("GET", f"{server.url}/runs/{name}{path}")).status == 404
    upstream.users = held
    async with connected(server) as raw:
        await raw.send(post(RUN, "Content-Type: application/json\r\nContent-Length: 8\r\n", b'{"id":9}'))
        await services.until(lambda: services.hits["/users/9"] == 1)
        (running,) = (await ask("GET", f"{server.url}/runs?state=running")).json["runs"]
        refused = await ask("POST", f"{server.url}/runs/{running['id']}/cancel")
        assert (refused.status, "request that began it" in refused.text) == (409, True)


async def test_a_client_that_leaves_ends_its_run(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback
) -> None:
    upstream.users = held
    server = await serve({"profile": profile})
    async with connected(server) as raw:
        await raw.send(post(RUN, "Content-Type: application/json\r\nContent-Length: 8\r\n", b'{"id":9}'))
        await services.until(lambda: services.hits["/users/9"] == 1)
        (running,) = (await ask("GET", f"{server.url}/runs?state=running")).json["runs"]
    async with listening(f"{server.url}/runs/{running['id']}/events") as events:
        (end,) = await events.all()
    assert end.data["state"] == "cancelled"


async def test_runs_beyond_the_limit_are_refused_in_the_background_too(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    upstream.users = held
    server = await serve({"profile": profile}, limits=ServerLimits(runs=2))
    for status in (202, 202, 503):
        answer = await ask("POST", server.url + RUN, json={"id": 7}, headers=ASYNC)
        assert answer.status == status
    assert answer.headers["Retry-After"] == "1"
    (first, _) = (await ask("GET", f"{server.url}/runs")).json["runs"]
    async with listening(f"{server.url}/runs/{first['id']}/events") as events:
        await ask("POST", f"{server.url}/runs/{first['id']}/cancel")
        await events.until("end")
    assert (await ask("POST", server.url + RUN, json={"id": 7}, headers=ASYNC)).status == 202


async def test_pages_of_runs(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    server = await serve({"profile": profile, "other": profile})
    begun = [
        (await ask("POST", f"{server.url}/orchestrations/{name}", json={"id": 7})).headers["X-Run-Id"]
        for name in ("profile", "other", "profile", "profile")
    ]
    upstream.users = 500
    begun.append((await ask("POST", server.url + RUN, json={"id": 7})).headers["X-Run-Id"])
    pages, after = [], ""
    while True:
        page = (await ask("GET", f"{server.url}/runs?limit=2{after}")).json
        pages.append([run["id"] for run in page["runs"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    newest = begun[::-1]
    assert pages == [newest[:2], newest[2:4], newest[4:]]
    assert "result" not in page["runs"][0]

    async def ids(query: str) -> list[str]:
        return [run["id"] for run in (await ask("GET", f"{server.url}/runs?{query}")).json["runs"]]

    assert await ids("flow=other") == [begun[1]]
    assert await ids("state=partial") == [begun[4]]
    assert await ids("state=partial&state=completed&flow=profile") == [*newest[:3], begun[0]]
    assert await ids("state=compensated") == []


@pytest.mark.parametrize(
    "query",
    ["flow=no", "state=done", "limit=0", "limit=101", "limit=x", "limit=%C2%B2", "after=!", "after=e30x",
     "after=eyJubyI6MX0", "after=eyIiOiJhIn0", "after=" + "A" * 20_000],
)  # fmt: skip
async def test_queries_that_are_none(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, query: str
) -> None:
    server = await serve({"profile": profile}, limits=ServerLimits())
    answer = await ask("GET", f"{server.url}/runs?{query}")
    assert answer.status in ((400,) if len(query) > 8000 else (422,))


async def test_what_is_kept_is_bounded_in_number_and_bytes(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    limits = ServerLimits(kept_runs=3, kept_bytes=400)
    server = await serve({"profile": profile}, limits=limits)
    begun = [(await ask("POST", server.url + RUN, json={"id": 7})).headers["X-Run-Id"] for _ in range(5)]
    listed = (await ask("GET", f"{server.url}/runs")).json["runs"]
    assert [run["id"] for run in listed] == begun[:1:-1]
    assert (await ask("GET", f"{server.url}/runs/{begun[0]}")).status == 404
    kept = [(await ask("GET", f"{server.url}/runs/{each}")).json for each in begun[2:]]
    assert ["result" in each for each in kept] == [False, False, True]
    assert kept[0]["state"] == "completed"


def test_the_book_forgets_what_it_counts() -> None:
    book = RunBook(["a"], most=2, most_bytes=10)
    runs = [book.begin("a") for _ in range(5)]
    for run, size in zip(runs, (4, 0, 6, 11, 3), strict=True):
        book.end(run, FlowState.COMPLETED, b"x" * size if size else None)
        book.end(run, FlowState.FAILED)  # it had ended
    assert book._bytes == sum(run.size for run in runs[3:]) == 3
    assert len(book._heavy) == 1
    roomy = RunBook(["a"], most=2, most_bytes=1_000)
    for _ in range(5):
        roomy.end(roomy.begin("a"), FlowState.COMPLETED, b"x" * 10)
    assert (roomy._bytes, len(roomy._heavy)) == (20, 2)
    assert (book.tallies["a"].ok, book.tallies["a"].failed, book.tallies["a"].in_flight) == (5, 0, 0)
    assert [run.state for run in book.newest(None, None, None)] == [FlowState.COMPLETED] * 2


async def test_the_drain_waits_for_runs_in_the_background(
    profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback, ask: Ask
) -> None:
    go = asyncio.Event()

    async def user(request: object) -> dict[str, int]:
        await go.wait()
        return {"id": 7}

    upstream.users = user
    app = create_app({"profile": profile})
    server = Serving(app, port=0)
    await server.__aenter__()
    run = (await ask("POST", server.url + RUN, json={"id": 7}, headers=ASYNC)).json["id"]
    await services.until(lambda: services.hits["/users/7"] == 1)
    ending = asyncio.create_task(server.__aexit__(None, None, None))
    while not app[STATE].is_draining:
        await asyncio.sleep(0)
    go.set()
    await ending
    kept = app[STATE].book.find(run)
    assert kept is not None
    assert kept.state is FlowState.COMPLETED


@pytest.mark.parametrize("drained", [True, False])
async def test_what_is_in_the_background_ends_with_the_server(
    profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback, ask: Ask, drained: bool
) -> None:
    upstream.users = held
    app = create_app({"profile": profile})
    async with Serving(app, port=0, drain_seconds=0.01) if drained else Loopback(app) as server:
        run = (await ask("POST", server.url + RUN, json={"id": 7}, headers=ASYNC)).json["id"]
        await services.until(lambda: services.hits["/users/7"] == 1)
    kept = app[STATE].book.find(run)
    assert kept is not None
    assert (kept.state, app[STATE].runs) == (FlowState.CANCELLED, 0)
    await services.until_idle()


async def test_what_there_is(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    server = await serve({"profile": profile})
    (only,) = (await ask("GET", f"{server.url}/orchestrations")).json["orchestrations"]
    assert (only["name"], only["kind"]) == ("profile", "flow")
    picture = await ask("GET", f"{server.url}/orchestrations/profile/picture")
    assert picture.headers["Content-Type"].startswith("image/svg+xml")
    assert picture.text.startswith("<svg")
    assert "users" in picture.text
    assert "127.0.0.1" not in picture.text
    assert "script" not in picture.headers["Content-Security-Policy"]
    assert (await ask("GET", f"{server.url}/orchestrations/no/picture")).status == 404
