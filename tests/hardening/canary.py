"""Secrets that can be found again, and everything that the library shows of a call."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from multidict import CIMultiDict

from rxorch import APIEndpoint
from rxorch.errors import ApiHttpError
from rxorch.http import Request, Response, Transport

__all__ = ["DATA", "FORMS", "KEY", "NAMED", "SAFE", "Exposure", "Secretive", "Witness", "loaded"]

KEY = "sk-live-canary7Qw"
"""A secret that shows by its look, wherever it stands."""
NAMED = "canary/x+9="
"""A secret that looks like nothing: it is told by the name of its place, or by the place itself."""

SAFE = quote(NAMED, safe="")
"""The same in a url."""
DATA = {"key": KEY, "named": NAMED, "card": {"number": NAMED, "cvc": KEY}}
"""The input of a call."""

FORMS = {
    KEY,
    NAMED,
    SAFE,
    quote(NAMED),
    base64.b64encode(f"me:{NAMED}".encode()).decode(),
    NAMED.encode().hex(),
}
KEPT = {"body", "headers", "result"}
"""Attributes of an error that hold what a server said, or what a run gave, and are documented to do so."""


class Secretive:
    """An object whose every representation is a secret."""

    def __repr__(self) -> str:
        return NAMED


def loaded(url: str, **fields: Any) -> APIEndpoint:
    """An endpoint with a secret wherever one can be put."""
    settings: dict[str, Any] = {
        "name": "x",
        "url": f"{url}/v1/{{key}}/items?api_key={SAFE}&note={KEY}&token={{named}}",
        "method": "POST",
        "headers": {
            "Authorization": f"Bearer {NAMED}",
            "Cookie": f"sid={NAMED}",
            "X-Api-Key": "{named}",
            "X-Any": NAMED,
            "X-Other": "{key}",
        },
        "params": {"password": "{named}", "sig": NAMED, "any": "{key}", "session": [NAMED, "{named}"]},
        "idempotency_key": f"{NAMED}-{{key}}",
        "retry_delay": 0,
        "retry_count": 1,
    }
    return APIEndpoint(**{**settings, **fields})


class Exposure:
    """What somebody could read off the library: messages, logs, tracebacks, pickles and representations."""

    def __init__(self) -> None:
        self._shown: list[tuple[str, str]] = []

    def text(self, label: str, text: str) -> None:
        """Add a text that is shown."""
        self._shown.append((label, text))

    def show(self, *things: object) -> None:
        """Add the ``str`` and ``repr`` of things, their own attributes left alone."""
        for thing in things:
            self.text(f"str of {type(thing).__name__}", str(thing))
            self.text(f"repr of {type(thing).__name__}", repr(thing))

    def error(self, error: BaseException) -> None:
        """Add all that an error says, about its causes too."""
        for each in chain(error):
            name = type(each).__name__
            facts = {key: value for key, value in vars(each).items() if key not in KEPT}
            self.show(each)
            self.text(f"attributes of {name}", repr((each.args, facts)))
            self.text(f"pickle of {name}", repr(pickle.dumps((each.args, facts))))
            if isinstance(each, ApiHttpError):
                assert isinstance(each.headers, CIMultiDict)
        self.text(f"traceback of {type(error).__name__}", "".join(traceback.format_exception(error)))

    @property
    def leaks(self) -> list[str]:
        """Where a secret stands that should not."""
        return [
            f"{label}: {text[:300]}" for label, text in self._shown if any(form in text for form in FORMS)
        ]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that its traceback shows with it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class Witness:
    """A transport that passes everything on and keeps it to be looked at."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.seen: list[Request | Response] = []

    @property
    def sends(self) -> int:
        """Requests put on the wire."""
        return self._transport.sends

    async def send(self, request: Request) -> Response:
        """Pass a request on."""
        self.seen.append(request)
        response = await self._transport.send(request)
        self.seen.append(response)
        return response

    async def aclose(self) -> None:
        """Close the one behind."""
        await self._transport.aclose()
