"""Links in the head of an answer (RFC 8288): ``Link: <https://...?page=2>; rel="next"``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["link_to"]

_LINK: Final = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER: Final = re.compile(
    r"""\s*;\s*(?:([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]*)))?)?""", re.DOTALL
)


def link_to(headers: Iterable[str], relation: str) -> str | None:
    """Return the target of the first link with a relation, as it is written; None if there is none.

    A link about another resource (``anchor``) is passed over, and so is what is no link.

    Args:
        headers: the values of all ``Link`` headers.
        relation: such as ``"next"``; case does not matter.

    Example:
        >>> link_to(['</items?page=1>; rel="first", </items?page=3>; rel="next last"'], "next")
        '/items?page=3'
    """
    wanted = relation.lower()
    for header in headers:
        for target, parameters in _links(header):
            if wanted in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
                return target
    return None


def _links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    place = 0
    while found := _LINK.match(header, place):
        place = found.end()
        parameters: dict[str, str] = {}
        while given := _PARAMETER.match(header, place):
            place = given.end()
            name, quoted, plain = given.groups()
            if name:  # of a name that stands there twice the first counts
                text = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters.setdefault(name.lower(), text or "")
        yield found[1], parameters
