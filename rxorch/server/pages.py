"""The pages for people: files of this package, which hold no data and ask for no token."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from rxorch.server.problems import Problem

__all__ = ["OPEN_ROUTES", "add_pages"]

OPEN_ROUTES: Final = frozenset({"docs", "index", "page"})
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
    app.router.add_get("/", _index, name="index")
    app.router.add_get("/docs", _docs, name="docs")
    app.router.add_get("/page/{file}", _file, name="page")


async def _index(request: web.Request) -> web.Response:
    return _answer(request, "index.html")


async def _docs(request: web.Request) -> web.Response:
    return _answer(request, "docs.html")


async def _file(request: web.Request) -> web.Response:
    return _answer(request, request.match_info["file"])


def _answer(request: web.Request, name: str) -> web.Response:
    found = _contents().get(name)
    if found is None:
        raise Problem(404, "there is no such file")
    content, tag = found
    if any(each.value == tag for each in request.if_none_match or ()):
        response = web.Response(status=304, headers=_HEADERS)
    else:
        kind = _KINDS[f".{name.rpartition('.')[2]}"]
        response = web.Response(body=content, content_type=kind, charset="utf-8", headers=_HEADERS)
    response.etag = tag
    return response


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """The files by name, each with its tag; only these are ever given."""
    folder = files("rxorch.server").joinpath("page")
    return {
        each.name: (content := each.read_bytes(), hashlib.sha256(content).hexdigest()[:16])
        for each in folder.iterdir()
        if f".{each.name.rpartition('.')[2]}" in _KINDS
    }
