"""Reading requests and refusing them, and numbers that look random: what the services have in common."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from aiohttp import web

__all__ = ["body_of", "number_of", "refusal"]


async def body_of(request: web.Request, **fields: type) -> dict[str, Any]:
    """The JSON body, with at least these fields of these types; 422 otherwise."""
    try:
        body = await request.json()
    except ValueError:
        raise refusal(web.HTTPUnprocessableEntity, "the body is not JSON") from None
    for name, kind in fields.items():
        if not isinstance(body, dict) or not isinstance(body.get(name), kind):
            raise refusal(web.HTTPUnprocessableEntity, f"{name}: {kind.__name__} expected")
    return dict(body)


def refusal(error: type[web.HTTPException], reason: str) -> web.HTTPException:
    """An answer that says no, and why."""
    return error(text=json.dumps({"error": reason}), content_type="application/json")


def number_of(kind: str, name: str) -> int:
    """A number that looks random, the same for the same name on every machine and in every run."""
    return crc32(f"{kind}/{name}".encode())
