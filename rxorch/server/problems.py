"""Errors as problem details (RFC 9457): a status, a fixed text, and an id that the log has too."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from rxorch.errors import ApiError

__all__ = ["PROBLEM_JSON", "Problem", "internal_problem"]

PROBLEM_JSON: Final = "application/problem+json"

_log = logging.getLogger("rxorch.server")


class Problem(Exception):
    """What is answered in the place of a result.

    Args:
        status: Of the answer.
        detail: A fixed text: nothing that a client or an upstream has sent.
        headers: Of the answer.
        close: Whether the connection ends with it.
        more: Further members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.close = close
        self.more = dict(more or {})
        self.id = secrets.token_hex(8)

    def document(self) -> dict[str, Any]:
        """The members of the problem."""
        title = HTTPStatus(self.status).phrase
        known = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return {**known, "id": self.id, **self.more}

    def response(self) -> web.Response:
        """The answer."""
        response = web.Response(
            status=self.status,
            body=to_json(self.document(), inf_nan_mode="null"),
            headers=self.headers,
            content_type=PROBLEM_JSON,
        )
        if self.close:
            response.force_close()
        return response


def internal_problem(error: BaseException) -> Problem:
    """A 500 for an error that nobody expected. The log gets the id, the kind of error and its place.

    The text of a foreign error may quote the input, so that only those of ours are written, without the url.
    """
    problem = Problem(500, "the server made a mistake; its log has this id")
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    text = f": {_bare(error)}" if isinstance(error, ApiError) else ""
    _log.error("%s: %s%s (%s)", problem.id, type(error).__name__, text, place)
    return problem


def _bare(error: ApiError) -> str:
    text = " ".join(error.message.split())
    return f"{text} [endpoint {error.endpoint!r}]" if error.endpoint else text
