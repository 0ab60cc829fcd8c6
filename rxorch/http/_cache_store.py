"""Where an ``HttpCache`` keeps its answers: by url, caller and selecting headers, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from os import urandom
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from rxorch.http._cache_rules import Directives, Timing
from rxorch.http.response import Response

__all__ = ["AnswerStore", "Selection", "StoredAnswer", "digest", "vary_names"]

_OVERHEAD: Final = 1024
"""Bytes that an entry takes beside its body and the text of its headers, about."""

_MOST_MARKS: Final = 1024
_KEY: Final = urandom(16)

Place = tuple[str, bytes]
"""A url, and the digest of who asked."""


def digest(*facts: object) -> bytes:
    """A digest of facts that may hold secrets; it means nothing outside of this process."""
    return blake2b(repr(facts).encode(errors="surrogatepass"), digest_size=16, key=_KEY).digest()


def vary_names(headers: CIMultiDictProxy[str]) -> tuple[str, ...] | None:
    """The names in Vary, in order; None for ``*``, which no later request matches."""
    names = {name.strip().lower() for name in ",".join(headers.getall("Vary", ())).split(",")} - {""}
    return None if "*" in names else tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class Selection:
    """By which request headers an answer was selected (Vary, section 4.1).

    Args:
        names: their names, in lower case and in order.
        values: a digest of their values.
    """

    names: tuple[str, ...]
    values: bytes

    @classmethod
    def of(cls, names: tuple[str, ...], headers: Mapping[str, str]) -> Selection:
        """The selection that a request makes; white space around commas does not count."""
        if not names:
            return cls(names, b"")
        given = {name.lower(): text for name, text in headers.items()}
        values = [
            None if (text := given.get(name)) is None else ",".join(part.strip() for part in text.split(","))
            for name in names
        ]
        return cls(names, digest(values))

    def matches(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers makes this selection."""
        return Selection.of(self.names, headers) == self


@dataclass(slots=True, eq=False, repr=False)
class StoredAnswer:
    """One answer and what is needed to judge it."""

    place: Place
    selection: Selection
    order: int
    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    content: bytes
    directives: Directives
    timing: Timing
    refreshing_until: float = float("-inf")

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return (
            _OVERHEAD + len(self.content) + sum(len(name) + len(text) for name, text in self.headers.items())
        )

    def answer(self, now: float, *, head: bool) -> Response:
        """The answer with its Age, for a request that the server was not asked about (section 4)."""
        headers = CIMultiDict(self.headers)
        headers["Age"] = str(int(self.timing.age(now)))
        content = b"" if head else self.content
        return Response(
            self.status, content, CIMultiDictProxy(headers), reason=self.reason, url=self.place[0]
        )

    def as_response(self) -> Response:
        """The answer as it was stored."""
        return Response(self.status, self.content, self.headers, reason=self.reason, url=self.place[0])


class AnswerStore:
    """A bounded memory of answers.

    Args:
        max_entries: most answers held.
        max_bytes: most bytes held.

    Attributes:
        bytes: bytes held, about.
        evicted: answers that left for want of room.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.bytes = 0
        self.evicted = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[StoredAnswer, None] = OrderedDict()  # least recently used first
        self._groups: dict[Place, dict[tuple[str, ...], dict[bytes, StoredAnswer]]] = {}
        self._askers: dict[str, set[bytes]] = {}
        self._floor = 0
        self._marks: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, place: Place, headers: Mapping[str, str]) -> StoredAnswer | None:
        """The newest answer that a request selects; it becomes the most recently used."""
        newest: StoredAnswer | None = None
        for names, answers in self._groups.get(place, {}).items():
            found = answers.get(Selection.of(names, headers).values)
            if found is not None and (newest is None or found.order > newest.order):
                newest = found
        if newest is not None:
            self._entries.move_to_end(newest)
        return newest

    def put(self, answer: StoredAnswer) -> bool:
        """Keep an answer in place of an earlier one; tell whether it was kept.

        It is not if the answer to a later request is there, or if its url was invalidated since its request.
        """
        url, asker = answer.place
        if answer.order < max(self._floor, self._marks.get(url, 0)):
            return False
        earlier = (
            self._groups.get(answer.place, {}).get(answer.selection.names, {}).get(answer.selection.values)
        )
        if earlier is not None:
            if earlier.order > answer.order:
                return False
            self.remove(earlier)
        if answer.size > self._max_bytes:
            return False
        group = self._groups.setdefault(answer.place, {})
        group.setdefault(answer.selection.names, {})[answer.selection.values] = answer
        self._askers.setdefault(url, set()).add(asker)
        self._entries[answer] = None
        self.bytes += answer.size
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self.remove(next(iter(self._entries)))
            self.evicted += 1
        return True

    def remove(self, answer: StoredAnswer) -> None:
        """Forget an answer, if it is still there."""
        if answer not in self._entries:
            return
        del self._entries[answer]
        self.bytes -= answer.size
        group = self._groups[answer.place]
        del group[answer.selection.names][answer.selection.values]
        if group[answer.selection.names]:
            return
        del group[answer.selection.names]
        if not group:
            url, asker = answer.place
            del self._groups[answer.place]
            self._askers[url].discard(asker)
            if not self._askers[url]:
                del self._askers[url]

    def invalidate(self, url: str, order: int) -> int:
        """Forget every answer of a url, whoever asked, and refuse those to requests before ``order``."""
        doomed = list(self._of(url))
        for answer in doomed:
            self.remove(answer)
        if len(self._marks) >= _MOST_MARKS:  # who invalidates so much may ask once more
            self._marks.clear()
            self._floor = order
        self._marks[url] = order
        return len(doomed)

    def clear(self, order: int) -> None:
        """Forget every answer, and refuse those to requests before ``order``."""
        self._entries.clear()
        self._groups.clear()
        self._askers.clear()
        self._marks.clear()
        self._floor = order
        self.bytes = 0

    def _of(self, url: str) -> Iterator[StoredAnswer]:
        for asker in self._askers.get(url, ()):
            for answers in self._groups[(url, asker)].values():
                yield from answers.values()
