"""The API that the examples of README, docs and notebooks call, served on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

__all__ = ["HOST", "routes"]

HOST = "https://api.example.com"
"""The address that readers see. The tests put that of the loopback server in its place to run a page."""

_NAMES = {1: "Ada", 2: "Grace", 3: "Edsger", 7: "Barbara"}


def _user(request: web.Request) -> dict[str, Any]:
    number = int(request.match_info["id"])
    if number not in _NAMES:
        raise web.HTTPNotFound(text="no such user")
    tier = "premium" if number in (1, 7) else "basic"
    return {"id": number, "name": _NAMES[number], "active": number != 3, "tier": tier}


def _posts(request: web.Request) -> dict[str, Any]:
    number = int(request.match_info["id"])
    return {"posts": [{"id": 10 * number + i, "author": number} for i in (1, 2)]}


def _flaky() -> Callable[[web.Request], Any]:
    """Answers 503 to the first request of each path, then well."""
    seen: Counter[str] = Counter()

    def answer(request: web.Request) -> Any:
        seen[request.path] += 1
        return 503 if seen[request.path] == 1 else {"ok": True}

    return answer


def _throttled() -> Callable[[web.Request], Any]:
    """Answers 429 with Retry-After, always."""

    def answer(request: web.Request) -> web.Response:
        return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "120"})

    return answer


async def _slow(request: web.Request) -> Any:
    await asyncio.sleep(20)  # every example that calls it gives up long before
    return {}


def _clock() -> Callable[[web.Request], Any]:
    """Counts up with each request: shows whether an answer came from the cache."""
    seen = iter(range(1, 1000))
    return lambda request: {"reading": next(seen)}


async def _echo(request: web.Request) -> Any:
    return {"received": await request.json()}


async def _ticker(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for price in range(100, 100_000):
        await response.write(b'{"price": %d}\n' % price)
    return response


async def _ship(request: web.Request) -> Any:
    order = await request.json()
    return 409 if order["item"] == "piano" else {"tracking": f"t-{order['item']}"}


async def _upload(request: web.Request) -> Any:
    return {"received": len(await request.read())}


async def _catalogue(request: web.Request) -> web.Response:
    return web.json_response({"version": 1}, headers={"Cache-Control": "max-age=600"})


def _inbox() -> Callable[[Any], Any]:
    """Open orders, more of them at every second look; the third state is the last."""
    looks = iter(range(1000))
    states = ([1, 2], [1, 2, 3], [3, 7])

    def answer(request: web.Request) -> Any:
        state = min(next(looks) // 2, 2)
        orders = [{"id": number, "sku": f"tea-{number}"} for number in states[state]]
        return {"version": state, "closed": state == 2, "orders": orders}

    return answer


async def _complete(request: web.Request) -> Any:
    """As a language model would: says how many tokens question and answer had."""
    asked = await request.json()
    words = asked["prompt"].split()
    return {"text": " ".join(reversed(words)), "usage": {"total_tokens": 2 * len(words)}}


def _items(request: web.Request) -> web.Response:
    """Seven items on pages of three: by number, by cursor, and with a link to the next page."""
    start = int(request.query.get("cursor", 3 * (int(request.query.get("page", 1)) - 1)))
    items = [{"id": number} for number in range(start + 1, min(start + 3, 7) + 1)]
    more = start + 3 < 7
    headers = {"Link": f'</items?cursor={start + 3}>; rel="next"'} if more else {}
    body = {"items": items, "meta": {"next_cursor": start + 3 if more else None}}
    return web.json_response(body, headers=headers)


async def _graphql(request: web.Request) -> Any:
    """Two fields: a user, and a price that nobody may see."""
    body = await request.json()
    name = _NAMES.get(int(body["variables"].get("id", 0)))
    data: dict[str, Any] = {"user": None if name is None else {"name": name}}
    errors = []
    if name is None:
        errors.append({"message": "no such user", "path": ["user"], "extensions": {"code": "NOT_FOUND"}})
    if "price" in body["query"]:
        data["price"] = None
        errors.append({"message": "not for you", "path": ["price"], "extensions": {"code": "FORBIDDEN"}})
    return {"data": data, "errors": errors} if errors else {"data": data}


_CITIES = {
    "Lisbon": {"city": "Lisbon", "currency": "EUR", "airport": "LIS"},
    "Oslo": {"city": "Oslo", "currency": "NOK", "airport": "OSL"},
    "Tokyo": {"city": "Tokyo", "currency": "JPY", "airport": "HND"},
}


def _city(request: web.Request) -> Any:
    return _CITIES.get(request.match_info["city"], 404)


def _weather() -> Callable[[web.Request], Any]:
    """Of each city, the first request is answered with 503."""
    asked: set[str] = set()

    def answer(request: web.Request) -> Any:
        city = request.match_info["city"]
        if city not in asked:
            asked.add(city)
            return 503
        return {"city": city, "sky": "clear", "celsius": 21}

    return answer


def routes() -> Mapping[str, Any]:
    """Fresh routes, with counters that start at zero."""
    return {
        "POST /login": {"token": "t-1", "user_id": 7},
        "GET /users/{id}": _user,
        "GET /users/{id}/posts": _posts,
        "GET /users/{id}/offers": [{"discount": 5}],
        "POST /users/{id}/lounge": {"access": True},
        "GET /stock/{sku}": lambda request: {"sku": request.match_info["sku"], "left": 3},
        "GET /prices/{sku}": lambda request: {"sku": request.match_info["sku"], "price": 20},
        "POST /orders": {"order": 42, "total": 40},
        "POST /reservations": {"id": "r-1"},
        "POST /reservations/{id}/release": {"released": True},
        "POST /payments": {"id": "p-1"},
        "POST /refunds": _echo,
        "POST /shipments": _ship,
        "POST /audit": _echo,
        "POST /notify": _echo,
        "GET /flaky/{n}": _flaky(),
        "GET /throttled": _throttled(),
        "GET /down": lambda request: 503,
        "/slow": _slow,
        "GET /clock": _clock(),
        "GET /ticker": _ticker,
        "PUT /upload": _upload,
        "GET /catalogue": _catalogue,
        "GET /items": _items,
        "GET /inbox": _inbox(),
        "POST /completions": _complete,
        "POST /graphql": _graphql,
        "GET /cities/{city}": _city,
        "GET /weather/{city}": _weather(),
        "GET /rates/{currency}": lambda request: 503,
        "GET /flights/{airport}": lambda request: [{"to": request.match_info["airport"], "price": 120}],
        "POST /bookings": {"booking": "b-1"},
    }
