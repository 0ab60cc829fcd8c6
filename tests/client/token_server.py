"""A token server on loopback: checks who asks, gives numbered tokens, and refuses as told."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from aiohttp import web

from tests.hardening.canary import KEY, NAMED

CLIENT = "shop:1"
SECRET = NAMED
REFRESH = f"{KEY}-refresh"


class TokenServer:
    """Gives ``<prefix>-0``, ``<prefix>-1`` ...; its API lets the newest one in alone."""

    def __init__(self, **answer: Any) -> None:
        self.answer = {"token_type": "Bearer", "expires_in": 3600, **answer}
        self.rotates = False
        self.refresh_token = REFRESH
        self.forms: list[dict[str, str]] = []
        self.who: list[tuple[str, str] | None] = []
        self.given = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def token(self) -> str:
        """The newest."""
        return f"{KEY}-{self.given - 1}"

    def revoke(self) -> None:
        """What was given is good no more; nobody is told."""
        self.given += 1

    @property
    def routes(self) -> dict[str, Any]:
        """For a ``Loopback``."""
        return {"POST /token": self.tokens, "/api": self.api, "/api/{rest}": self.api}

    async def tokens(self, request: web.Request) -> web.StreamResponse:
        """The token endpoint."""
        assert request.content_type == "application/x-www-form-urlencoded"
        form = {name: text for name, (text,) in parse_qs(await request.text(), strict_parsing=True).items()}
        self.forms.append(form)
        self.who.append(_who(request, form))
        await self.gate.wait()
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh_token:
            text = f"{form['refresh_token']} is used up"
            return web.json_response({"error": "invalid_grant", "error_description": text}, status=400)
        self.given += 1
        answer = {"access_token": self.token, **self.answer}
        if self.rotates:
            self.refresh_token = f"{REFRESH}-{self.given}"
            answer["refresh_token"] = self.refresh_token
        return web.json_response({name: value for name, value in answer.items() if value is not None})

    async def api(self, request: web.Request) -> web.StreamResponse:
        """What the tokens are for."""
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        return web.json_response({"ok": True})


def _who(request: web.Request, form: dict[str, str]) -> tuple[str, str] | None:
    given = request.headers.get("Authorization")
    if given is None:
        return (form["client_id"], form.get("client_secret", "")) if "client_id" in form else None
    kind, _, text = given.partition(" ")
    assert kind == "Basic"
    name, _, secret = base64.b64decode(text).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)
