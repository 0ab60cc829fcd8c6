"""The page of runs in a real browser: what it shows, starts, retries and never does."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from typing import Any

import pytest
from pydantic import BaseModel, Field

from rxorch import APIOrchestrationConfig
from rxorch.saga import MemoryJournal, Saga, Step, wait_for
from rxorch.server import Served, ServerLimits, Serving, create_app
from rxorch.server import live as live_module
from tests.saga.services import QUICK, Services
from tests.server.conftest import TOKEN, Ask, Make, Serve, Upstream, endpoint, parallel_of
from tests.server.sse import listening
from tests.support.chromium import Page
from tests.support.loopback import Loopback

ASYNC = {"Prefer": "respond-async"}
LIVE = "document.getElementById('link').textContent == 'live'"
HOSTILE = "<img/src=x/onerror=window.caught=1>"


class Who(BaseModel):
    id: int = Field(ge=1)


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SECOND", 0.05)


def text_of(selector: str) -> str:
    return f"(document.querySelector({selector!r})?.textContent ?? '')"


def count_of(selector: str) -> str:
    return f"document.querySelectorAll({selector!r}).length"


async def test_a_run_is_started_and_opened_by_keyboard(
    page: Page, serve: Serve, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": Served(profile, input=Who)})
    await page.goto(f"{server.url}/")
    await page.until("document.querySelector('.flow .start')")
    await page.evaluate("document.querySelector('.flow .start').focus()")
    await page.press("Enter")
    await page.until("document.getElementById('start-input')?.value == '{\\n  \"id\": 1\\n}'")
    await page.until("document.querySelector('.picture-frame img')?.naturalWidth > 100")
    assert "At worst: 2 requests" in await page.evaluate(text_of("#opened"))
    await page.press("Tab", "Tab", "Enter")  # from the title over the input to the button
    await page.until(text_of("#opened .heading .chip") + " == 'completed'")
    await page.until("document.querySelector('.picture-frame img')?.naturalWidth > 100")
    assert await page.evaluate("document.activeElement.tagName") == "H2"
    shown = await page.evaluate(
        "[...document.querySelectorAll('#opened tbody th')].map(each => each.textContent)"
    )
    assert sorted(shown) == ["orders", "users"]
    await page.until(text_of(".log tr:last-child code") + " == 'run_finished'")
    assert '"name": "Ada"' in await page.evaluate(text_of("#opened pre"))
    await page.evaluate("document.getElementById('home').click()")
    await page.until(text_of("#runs tbody .chip") + " == 'completed'")
    assert page.complaints == []


async def test_wrong_input_is_said_where_it_is(
    page: Page, serve: Serve, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": Served(profile, input=Who)})
    await page.goto(f"{server.url}/#/flow/profile")
    await page.until("document.getElementById('start-input')?.value.length > 2")
    field = "document.getElementById('start-input')"
    await page.evaluate(f"{field}.value = '{{'; document.querySelector('.start-form button').click()")
    assert "no JSON" in await page.evaluate(f"{field}.validationMessage")
    await page.evaluate(
        f"{field}.value = '{{\"id\": 0}}'; {field}.setCustomValidity('');"
        "document.querySelector('.start-form button').click()"
    )
    await page.until(text_of(".start-form li code") + " == 'id'")


async def test_a_dead_letter_is_retried_by_keyboard(
    page: Page, serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    server = await serve({"order": order()})
    await page.goto(f"{server.url}/")
    await page.until(LIVE)
    shop.answers = {"ship": [422], "undo charge": [500] * 3}
    key = {"Idempotency-Key": "order-7"}
    answer = await ask("POST", f"{server.url}/orchestrations/order", json={}, headers=key)
    assert answer.json["state"] == "failed"
    await page.until(text_of("#dead h2") + " == '1 dead letter'")
    assert "ship: ApiHttpError" in await page.evaluate(text_of("#dead tbody"))
    await page.evaluate("document.querySelector('#dead tbody a').focus()")
    await page.press("Tab", "Enter")
    await page.until("document.getElementById('dead').hidden")
    await page.until(text_of("#runs tbody .chip") + " == 'compensated'")
    assert await page.evaluate("document.activeElement.id") == "main"
    assert shop.done == []
    assert page.complaints == []


async def test_a_retry_goes_on_in_the_opened_run(
    page: Page, serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    server = await serve({"order": order()})
    shop.answers = {"ship": [422], "undo charge": [500] * 3}
    key = {"Idempotency-Key": "order-7"}
    await ask("POST", f"{server.url}/orchestrations/order", json={}, headers=key)
    await page.goto(f"{server.url}/#/run/order-7")
    await page.until(text_of(".log tr:last-child code") + " == 'run.failed'")
    await page.evaluate("document.querySelector('.actions button').click()")
    await page.until(text_of("#opened .heading .chip") + " == 'compensated'")
    await page.until(text_of(".log tr:last-child code") + " == 'run.compensated'")
    kinds = await page.evaluate("[...document.querySelectorAll('.log code')].map(each => each.textContent)")
    assert kinds.count("run.started") == kinds.count("run.failed") == 1
    assert page.complaints == []


async def test_what_is_under_way_is_told_and_cancelled(page: Page, serve: Serve, ask: Ask) -> None:
    def pay(data: Any) -> str:
        return "paid"

    steps = [Step(pay, compensation=lambda data: None), wait_for("packed")]
    server = await serve({"order": Saga("order", steps, journal=MemoryJournal(), undo=QUICK)})
    for run in ("one", "two"):
        headers = {**ASYNC, "Idempotency-Key": run}
        await ask("POST", f"{server.url}/orchestrations/order", json={}, headers=headers)
    await page.goto(f"{server.url}/#/run/one")
    await page.until("document.getElementById('signal-name')?.value == 'packed'")
    await page.evaluate("document.getElementById('signal-name').focus()")
    await page.press("Tab")
    await page.type('{"boxes": 2}')
    await page.press("Enter")
    await page.until(text_of("#opened .heading .chip") + " == 'completed'")
    assert '"boxes": 2' in await page.evaluate(text_of("#opened pre"))
    await page.evaluate("location.hash = '#/run/two'")
    await page.until(text_of(".actions button.danger") + " == 'Cancel'")
    await page.evaluate("document.querySelector('.actions button.danger').focus()")
    await page.press("Enter")
    assert await page.evaluate(text_of(".actions button.danger")) == "Have it undone?"
    await page.press("Enter")
    await page.until(text_of("#opened .heading .chip") + " == 'compensated'")
    assert page.complaints == []


async def test_the_token_is_asked_for_again_and_never_in_an_url(
    page: Page, serve: Serve, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile}, token=TOKEN)
    await page.goto(f"{server.url}/")
    await page.until("document.activeElement.id == 'token'")
    await page.type("not-the-token-of-it")
    await page.press("Enter")
    await page.until(text_of("#gate-said") + ".startsWith('That is not')")
    assert await page.evaluate(count_of(".flow, #runs tbody tr") + " + sessionStorage.length") == 0
    await page.type(TOKEN)
    await page.press("Enter")
    await page.until("document.querySelector('.flow')")
    await page.reload()
    await page.until("document.querySelector('.flow')")
    asked = "[location.href, ...performance.getEntries().map(each => each.name)].join()"
    await page.until(f"{asked}.includes('/runs?limit=50')")
    assert TOKEN not in await page.evaluate(asked)
    assert await page.evaluate("document.cookie + localStorage.length") == "0"
    await page.load("document.getElementById('forget').click()")
    await page.until("document.activeElement.id == 'token'")
    assert await page.evaluate("sessionStorage.length") == 0
    assert [each for each in page.complaints if "401" not in each] == []


async def test_the_page_finds_a_server_that_was_started_anew(
    page: Page, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    async with Serving(create_app({"profile": profile}), port=0, drain_seconds=0) as server:
        await page.goto(f"{server.url}/")
        await page.until(LIVE)
        port = server.port
    await page.until(text_of("#link") + ".startsWith('no connection')")
    async with Serving(create_app({"profile": profile}), port=port, drain_seconds=0) as server:
        await page.until(LIVE)
        await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
        await page.until(text_of("#runs tbody .chip") + " == 'completed'")
    assert [each for each in page.complaints if "ERR_" not in each] == []


async def test_one_who_finds_no_place_is_told_so(
    page: Page, serve: Serve, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile}, limits=ServerLimits(listeners=1))
    async with listening(f"{server.url}/live"):
        await page.goto(f"{server.url}/")
        await page.until(text_of("#link") + ".startsWith('too many')")
    await page.until(LIVE)
    assert [each for each in page.complaints if "503" not in each] == []


async def test_names_and_errors_are_never_read_as_html(
    page: Page, serve: Serve, ask: Ask, services: Loopback
) -> None:
    bad = type(HOSTILE, (Exception,), {})

    def fails(data: Any) -> None:
        raise bad(HOSTILE)

    def pays(data: Any) -> str:
        return HOSTILE

    order = Saga("order", [Step(pays, compensation=fails), Step(fails)], journal=MemoryJournal(), undo=QUICK)
    flow = parallel_of(endpoint(services, "users", transform_input=fails), endpoint(services, "orders"))
    server = await serve({"order": order, "profile": flow})
    key = {"Idempotency-Key": HOSTILE}
    await page.goto(f"{server.url}/")
    await page.until(LIVE)
    await ask("POST", f"{server.url}/orchestrations/order", json={}, headers=key)
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    await page.until(text_of("#dead tbody a") + f" == {HOSTILE!r}")
    assert HOSTILE in await page.evaluate(text_of("#dead tbody td:nth-child(4)"))
    for run in (HOSTILE, answer.headers["X-Run-Id"]):
        await page.evaluate(f"location.hash = '#/run/' + encodeURIComponent({run!r})")
        await page.until(text_of("#opened h2") + f" == {run!r}")
        await page.until(text_of("#opened tbody") + f".includes({HOSTILE!r})")
        await page.until(text_of(".log") + f".includes({HOSTILE!r})")
        await page.until("document.querySelector('.picture-frame img')?.naturalWidth > 100")
    await page.evaluate("location.hash = '#/flow/' + encodeURIComponent('<img src=x>')")
    await page.until(text_of("#opened h2") + " == '<img src=x>'")
    await page.until(text_of("#said"))
    assert await page.evaluate(count_of("img:not(.picture-frame > img)")) == 0
    assert await page.evaluate("window.caught ?? null") is None


async def test_the_list_is_bounded_filtered_and_held(
    page: Page, serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    server = await serve({"profile": profile, "other": profile})
    run = f"{server.url}/orchestrations/profile"
    await asyncio.gather(*(ask("POST", run, json={"id": 7}) for _ in range(52)))
    upstream.users = 503
    await ask("POST", f"{server.url}/orchestrations/other", json={"id": 7})
    await page.goto(f"{server.url}/")
    rows = count_of("#runs tbody tr")
    await page.until(f"{rows} == 50")
    await ask("POST", f"{server.url}/orchestrations/other", json={"id": 7})
    await page.until("[...document.querySelectorAll('#runs tbody .chip')][1]?.textContent == 'partial'")
    assert await page.evaluate(rows) == 50
    older = "[...document.querySelectorAll('#runs button')].find(each => each.textContent == 'Older')"
    await page.evaluate(f"{older}.click()")
    await page.until(f"{rows} == 4")
    choose = "{0}.value = '{1}'; {0}.dispatchEvent(new Event('change'))"
    await page.evaluate(choose.format("document.getElementById('runs-state')", "partial"))
    await page.until(f"{rows} == 2")
    await page.evaluate(choose.format("document.getElementById('runs-flow')", "profile"))
    await page.until(f"{rows} == 0 && !document.querySelector('#runs p').hidden")
    await ask("POST", f"{server.url}/orchestrations/other", json={"id": 7})
    await ask("POST", run, json={"id": 7})
    await page.until(f"{rows} == 1")
    await page.evaluate("document.querySelector('#runs [aria-pressed]').click()")
    await ask("POST", run, json={"id": 7})
    await page.until(text_of(".flow:first-child .figures") + ".includes('lost2')")
    await page.evaluate("new Promise(end => setTimeout(end, 250))")  # behind the timer of the list
    assert await page.evaluate(rows) == 1
    await page.evaluate("document.querySelector('#runs [aria-pressed]').click()")
    await page.until(f"{rows} == 2")
    assert page.complaints == []


async def test_the_page_is_light_dark_and_narrow(
    page: Page, serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    server = await serve({"order": order()})
    shop.answers = {"ship": [422], "undo charge": [500] * 3}
    key = {"Idempotency-Key": "a" * 200}
    await ask("POST", f"{server.url}/orchestrations/order", json={}, headers=key)
    papers = []
    for scheme in ("light", "dark"):
        await page.scheme(scheme)
        await page.goto(f"{server.url}/")
        await page.until(LIVE)
        papers.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
    await page.size(360, 700)
    for hash, shown in (
        ("#/", "#dead tbody"),
        (f"#/run/{'a' * 200}", ".log tr"),
        ("#/flow/order", ".start-form"),
    ):
        await page.evaluate(f"location.hash = '{hash}'")
        await page.until(f"document.querySelector('{shown}')")
        await page.until("document.documentElement.scrollWidth <= 360")


async def test_a_file_that_has_not_changed_is_not_sent_again(serve: Serve, ask: Ask) -> None:
    server = await serve({}, token=TOKEN)
    for path in ("/", "/page/page.js"):
        answer = await ask("GET", server.url + path)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
        tag = answer.headers["ETag"]
        again = await ask("GET", server.url + path, headers={"If-None-Match": tag})
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", tag)
        assert (await ask("GET", server.url + path, headers={"If-None-Match": '"other"'})).status == 200


def test_what_the_pages_load_is_in_the_package() -> None:
    folder = files("rxorch.server").joinpath("page")
    names = {each.name for each in folder.iterdir()}
    needed = {"index.html", "docs.html"}
    for name in names:
        text = folder.joinpath(name).read_text()
        needed |= set(re.findall(r'(?:href|src)="page/([^"]+)"', text))
        needed |= set(re.findall(r'from "\./([^"]+)"', text))
    assert needed == names
