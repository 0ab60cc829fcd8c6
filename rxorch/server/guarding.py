"""What stands before every route: Host, Origin and token; and what every answer gets."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from rxorch.server.pages import OPEN_ROUTES
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.state import ServerState

__all__ = ["dress", "guard"]

_HOST: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@\s]+))(?::\d{1,5})?")
# Names as `istr` are compared without being put into lower case each time.
_CONTENT_TYPE_OPTIONS: Final = istr("X-Content-Type-Options")
_ASKED: Final = "authorization, content-type, idempotency-key, last-event-id, prefer"
_TOLD: Final = "location, preference-applied, x-run-id"
_PROBES: Final = frozenset({"healthz", "readyz"})


def guard(state: ServerState) -> Middleware:
    """A middleware that lets through what may pass, and makes problem details of errors."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        with state.request():
            try:
                response = await _passed(state, request, handler)
            except Problem as problem:
                response = problem.response()
            except web.HTTPException as error:
                response = _of_router(error)
            except Exception as error:
                response = internal_problem(error).response()
        state.answers[response.status] += 1
        if not response.prepared:
            dress(state, request, response)
        return response

    return guarded


async def _passed(state: ServerState, request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.match_info.route.name in _PROBES:  # who asks them has no token, and calls us by our address
        return await handler(request)
    _check_host(state, request)
    _check_origin(state, request)
    if _is_preflight(state, request):
        return web.Response(status=204)
    if state.token is not None and request.match_info.route.name not in OPEN_ROUTES:
        _check_token(state.token, request)
    if state.is_draining:
        raise Problem(503, "the server is shutting down", close=True)
    return await handler(request)


def _check_host(state: ServerState, request: web.Request) -> None:
    if "*" in state.hosts:
        return
    given = request.headers.getall(hdrs.HOST, ())
    found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    if found is None or (found[1] or found[2]).lower() not in state.hosts:
        raise Problem(421, "this server is not called by that host name", close=True)


def _check_origin(state: ServerState, request: web.Request) -> None:
    for origin in request.headers.getall(hdrs.ORIGIN, ()):
        host = request.headers.get("Host", "").lower()
        if origin.lower() not in {f"http://{host}", f"https://{host}", *state.origins}:
            raise Problem(403, "web pages of that origin may not call this server", close=True)


def _is_preflight(state: ServerState, request: web.Request) -> bool:
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return asks and request.headers.get("Origin", "").lower() in state.origins


def _check_token(token: str, request: web.Request) -> None:
    given = request.headers.getall(hdrs.AUTHORIZATION, ())
    scheme, _, shown = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    # Hashes are of one length, so that the comparison does not tell that of the token.
    same = hmac.compare_digest(_hash(shown.strip()), _hash(token))
    if not (same and scheme.lower() == "bearer"):
        raise Problem(
            401, "show the token of this server", headers={"WWW-Authenticate": "Bearer"}, close=True
        )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _of_router(error: web.HTTPException) -> web.Response:
    allow = error.headers.get("Allow")
    texts = {404: "there is nothing at this path", 405: "not by this method"}
    text = texts.get(error.status, "this request cannot be answered")
    return Problem(error.status, text, headers={} if allow is None else {"Allow": allow}).response()


def dress(state: ServerState, request: web.Request, response: web.StreamResponse) -> None:
    """Gives an answer the headers that every answer gets."""
    headers = response.headers
    headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    headers[_CONTENT_TYPE_OPTIONS] = "nosniff"
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin.lower() in state.origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _TOLD
        response.headers["Vary"] = "Origin"
        if response.status == 204:
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = _ASKED
    if state.is_draining:
        response.force_close()
