"""The pages for people: files of this package, which hold no data and ask for no token."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from rxorch.server.problems import Problem

__all__ = ["OPEN_ROUTES", "add_pages"]

OPEN_ROUTES: Final = frozenset({"docs", "page"})
"""Names of the routes that ask for no token: a browser that opens a page cannot show one."""

_KINDS: Final = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(app: web.Application) -> None:
    """Adds the routes of the pages."""
    app.router.add_get("/docs", _docs, name="docs")
    app.router.add_get("/page/{file}", _file, name="page")


async def _docs(request: web.Request) -> web.Response:
    return _answer("docs.html")


async def _file(request: web.Request) -> web.Response:
    return _answer(request.match_info["file"])


def _answer(name: str) -> web.Response:
    content = _contents().get(name)
    if content is None:
        raise Problem(404, "there is no such file")
    kind = _KINDS[f".{name.rpartition('.')[2]}"]
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=_HEADERS)


@cache
def _contents() -> dict[str, bytes]:
    """The files by name; only these are ever given."""
    folder = files("rxorch.server").joinpath("page")
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if f".{each.name.rpartition('.')[2]}" in _KINDS
    }
