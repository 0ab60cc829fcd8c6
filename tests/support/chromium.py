"""A page in headless Chromium, driven over its own protocol: no driver, no further dependency.

    async with opened(chromium_url) as page:
        await page.goto(f"{server.url}/docs")
        assert await page.evaluate("document.title") == "Orchestrations"

Whatever the page complains about (scripts, its content security policy, missing files) is in
``page.complaints``.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.services import needs_program

__all__ = ["Page", "browser", "opened"]

_PATIENCE = 30.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-default-browser-check", "--remote-debugging-port=0",
)  # fmt: skip
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40, "ArrowUp": 38}


@contextmanager
def browser(folder: Path) -> Iterator[str]:
    """A running browser: the url of its protocol. Skips or fails the test where there is none."""
    program = needs_program(("chromium", "chromium-browser", "google-chrome"), "apt-get install chromium")
    process = subprocess.Popen(
        [program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port, path = _address(process, folder / "DevToolsActivePort")
        yield f"ws://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], file: Path) -> tuple[str, str]:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with suppress(OSError, ValueError):
            port, path = file.read_text().split()
            return port, path
        if process.poll() is not None:
            raise RuntimeError(f"the browser ended with {process.returncode}")
        time.sleep(0.02)  # it writes that file when it listens
    raise RuntimeError("the browser does not listen")


class Page:
    """A tab of its own, without cookies or storage of others.

    Attributes:
        complaints: What the page, or the browser about it, found wrong.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._session: str | None = None
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []

    async def command(self, method: str, **parameters: Any) -> Any:
        """Sends a command, and gives its result."""
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_str(json.dumps(message))
        async with asyncio.timeout(_PATIENCE):
            answer = await waiting
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    async def listen(self) -> None:
        """Takes what the browser says, until it is gone."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                waiting = self._waiting.pop(said["id"])
                if not waiting.done():  # nobody waits for it any more
                    waiting.set_result(said)
            else:
                self._heard(said["method"], said["params"])

    def _heard(self, method: str, facts: Any) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] in ("warning", "error"):
            self.complaints.append(facts["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("warning", "error", "assert"):
            self.complaints.append(str([each.get("value") for each in facts["args"]]))

    async def open(self) -> None:
        """Makes the tab."""
        context = (await self.command("Target.createBrowserContext"))["browserContextId"]
        target = await self.command("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")
        await self.size(1280, 900)

    async def goto(self, url: str) -> None:
        """Opens a page, and waits until it is loaded."""
        await self._load("Page.navigate", url=url)

    async def reload(self) -> None:
        """Loads the page again."""
        await self._load("Page.reload")

    async def load(self, script: str) -> None:
        """Evaluates what loads another page, and waits until it is loaded."""
        await self._load("Runtime.evaluate", expression=script)

    async def _load(self, method: str, **parameters: Any) -> None:
        self._loaded.clear()
        await self.command(method, **parameters)
        async with asyncio.timeout(_PATIENCE):
            await self._loaded.wait()

    async def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript; promises are awaited."""
        result = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Waits for a condition of JavaScript; the error shows what the page says if it does not come."""
        look = f"() => ({condition}) ? end(true) : setTimeout(look, 10)"
        script = f"new Promise(end => {{ const look = {look}; look(); }})"
        try:
            await self.evaluate(script)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never: {condition}\n{self.complaints}\n{text}") from None

    async def press(self, *keys: str) -> None:
        """Presses keys, one after another: `await page.press("Tab", "Enter")`."""
        for key in keys:
            facts: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": _KEYS[key]}
            if key in ("Enter", " "):
                facts["text"] = "\r" if key == "Enter" else key
            await self.command("Input.dispatchKeyEvent", type="keyDown", **facts)
            await self.command("Input.dispatchKeyEvent", type="keyUp", **facts)

    async def type(self, text: str) -> None:
        """Types a text where the cursor is."""
        await self.command("Input.insertText", text=text)

    async def size(self, width: int, height: int) -> None:
        """Sets the size of the window, in pixels."""
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def scheme(self, name: str) -> None:
        """Sets what its user prefers: "light" or "dark"."""
        await self.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}]
        )

    async def screenshot(self, path: Path) -> None:
        """Writes what is to be seen as a PNG."""
        shot = await self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Page]:
    """A new tab of a browser."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        page = Page(socket)
        listening = asyncio.create_task(page.listen())
        try:
            await page.open()
            yield page
        finally:
            with suppress(Exception):
                await page.command("Page.close")
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
