"""The page of the API in a real browser: what it shows, sends and never does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from rxorch.server import Served
from tests.server.conftest import TOKEN, Ask, Serve, endpoint, parallel_of
from tests.support.chromium import Page
from tests.support.loopback import Loopback

PAGE = Path(__file__).parents[2] / "rxorch" / "server" / "page"


class Who(BaseModel):
    id: int = Field(ge=1, description="Number of the user.")


@pytest.fixture
def flows(services: Loopback) -> dict[str, Served]:
    flow = parallel_of(endpoint(services, "users"), endpoint(services, "orders"))
    return {"profile": Served(flow, input=Who, readable=True)}


def the(operation: str, selector: str) -> str:
    """An element of an operation, or null."""
    return f"document.querySelector('#' + CSS.escape({operation!r}) + ' ' + {selector!r})"


async def test_an_operation_is_opened_and_sent_by_keyboard(
    page: Page, serve: Serve, flows: dict[str, Served]
) -> None:
    server = await serve(flows)
    await page.goto(f"{server.url}/docs")
    await page.until("document.getElementById('run.profile')")
    await page.evaluate(the("run.profile", "summary") + ".focus()")
    await page.press("Enter")
    await page.until(the("run.profile", "textarea"))
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.value") == '{\n  "id": 1\n}'
    while await page.evaluate("document.activeElement.textContent") != "Send":
        await page.press("Tab")
    await page.press("Enter")
    await page.until(the("run.profile", ".chip") + "?.textContent == '200 OK'")
    await page.until(the("run.profile", "pre") + '?.textContent.includes(\'"name": "Ada"\')')
    assert "Number of the user." in await page.evaluate(the("run.profile", ".schema") + ".textContent")
    assert page.complaints == []


async def test_a_query_a_stream_and_a_refusal(page: Page, serve: Serve, flows: dict[str, Served]) -> None:
    server = await serve(flows)
    await page.goto(f"{server.url}/docs#read.profile")
    await page.until(the("read.profile", "form button"))
    await page.evaluate(the("read.profile", "form input") + ".value = '7'")
    await page.evaluate(the("read.profile", "form button") + ".click()")
    await page.until(the("read.profile", "pre") + '?.textContent.includes(\'"provenance": "fresh"\')')
    await page.evaluate("location.hash = 'stream.profile'")
    await page.until(the("stream.profile", "form textarea"))
    await page.evaluate(the("stream.profile", "form textarea") + '.value = \'{"id": 1}\\n{"id": 0}\\n\'')
    await page.evaluate(the("stream.profile", "form button") + ".click()")
    await page.until(the("stream.profile", "pre") + "?.textContent.trim().split('\\n').length == 2")
    assert '"status":422' in await page.evaluate(the("stream.profile", "pre") + ".textContent")
    assert page.complaints == []


async def test_the_token_is_asked_for_and_kept_for_the_tab(
    page: Page, serve: Serve, flows: dict[str, Served]
) -> None:
    server = await serve(flows, token=TOKEN)
    await page.goto(f"{server.url}/docs")
    await page.until("document.activeElement.id == 'token'")
    assert await page.evaluate("document.querySelectorAll('details').length") == 0
    await page.type(TOKEN)
    await page.press("Enter")
    await page.until("document.getElementById('run.profile')")
    await page.evaluate("location.hash = 'run.profile'")
    await page.reload()
    await page.until(the("run.profile", "form button"))
    await page.evaluate(the("run.profile", "form button") + ".click()")
    await page.until(the("run.profile", ".chip") + "?.textContent == '200 OK'")
    refused = [each for each in page.complaints if "401" not in each]
    assert refused == [] and len(page.complaints) == 1


async def test_light_and_dark_and_narrow(page: Page, serve: Serve, flows: dict[str, Served]) -> None:
    server = await serve(flows)
    papers = []
    for scheme in ("light", "dark"):
        await page.scheme(scheme)
        await page.goto(f"{server.url}/docs")
        await page.until("document.getElementById('run.profile')")
        papers.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
    await page.size(360, 700)
    await page.until("document.documentElement.scrollWidth <= 360")


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_nothing_from_elsewhere_and_nothing_inline(
    serve: Serve, ask: Ask, flows: dict[str, Served], path: str
) -> None:
    server = await serve(flows, token=TOKEN)
    answer = await ask("GET", f"{server.url}{path}")  # no token: it has no data
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for file in PAGE.iterdir():
        text = file.read_text()
        assert re.findall(r"https?://(?!example\.com)", text) == []
        assert re.findall(r"\son\w+=|\sstyle=|<style|<script>|innerHTML|\beval\(", text) == []
        answer = await ask("GET", f"{server.url}/page/{file.name}")
        assert (answer.status, answer.text) == (200, text)


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/..%2Fapp.py", "/page/%2e%2e/app.py", "/page/"])
async def test_other_files_are_never_given(serve: Serve, ask: Ask, path: str) -> None:
    server = await serve({}, token=TOKEN)
    answer = await ask("GET", f"{server.url}{path}")
    assert answer.status in (401, 404)
    assert "import" not in answer.text


async def test_the_pages_are_guarded_like_all_else(serve: Serve, ask: Ask) -> None:
    server = await serve({})
    for path in ("/", "/docs", "/page/page.js"):
        assert (await ask("GET", server.url + path, headers={"Host": "evil.example"})).status == 421
        assert (await ask("GET", server.url + path, headers={"Origin": "https://evil.example"})).status == 403
