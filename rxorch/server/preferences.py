"""What a client asks for beside the run itself: `Prefer: respond-async`, and `Idempotency-Key`."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from rxorch.server.problems import Problem

__all__ = ["ACCEPTED", "idempotency_key", "is_plain", "is_run_id", "refuse_key", "wants_no_answer"]

ACCEPTED: Final = {"Preference-Applied": "respond-async"}
_PREFER: Final = "Prefer"
_KEY: Final = "Idempotency-Key"
_RUN_ID: Final = re.compile(r"[!-~]{1,200}")


def is_plain(request: web.Request) -> bool:
    """Whether it asks for nothing beside."""
    return _PREFER not in request.headers and _KEY not in request.headers


def wants_no_answer(request: web.Request) -> bool:
    """Whether the run is to go on in the background (RFC 7240, section 4.1)."""
    given = ",".join(request.headers.getall(_PREFER, ()))
    return any(each.partition(";")[0].strip().lower() == "respond-async" for each in given.split(","))


def idempotency_key(request: web.Request) -> str | None:
    """The key under which a run is begun but once; None: there is none.

    Raises:
        Problem: It cannot be one.
    """
    given = request.headers.getall(_KEY, ())
    if not given:
        return None
    if len(given) > 1 or not is_run_id(given[0]):
        raise Problem(422, "Idempotency-Key: give one, of 1 to 200 visible ASCII characters, and not . or ..")
    return given[0]


def refuse_key(request: web.Request) -> None:
    """Refuses a key where nobody heeds it: who sends one counts on it.

    Raises:
        Problem: There is one.
    """
    if _KEY in request.headers:
        raise Problem(400, "Idempotency-Key: a flow is run anew each time; only a saga heeds a key")


def is_run_id(text: str) -> bool:
    """Whether a run may have this name: dots alone cannot stand in a path."""
    return _RUN_ID.fullmatch(text) is not None and text not in (".", "..")
