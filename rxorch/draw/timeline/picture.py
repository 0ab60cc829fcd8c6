"""Waterfall: what happened when, as a picture in every form that a reader may want."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, Final

from rxorch.draw.bundle import mime_bundle
from rxorch.draw.frames import FrameLibrary, frame_of
from rxorch.draw.masking import heading_text
from rxorch.draw.saving import Forms, SavedPicture, forms_of, page_of
from rxorch.draw.theme import Scheme
from rxorch.draw.timeline.critical import PathPart, critical_path
from rxorch.draw.timeline.reading import Happened, timeline_of
from rxorch.draw.timeline.records import Timeline
from rxorch.draw.timeline.rows import Rows, rows_of, summary_of
from rxorch.draw.timeline.svg import svg_of
from rxorch.draw.timeline.table import columns_of, html_table
from rxorch.draw.timeline.text import NARROWEST, text_of
from rxorch.errors import ApiConfigurationError

__all__ = ["Waterfall", "waterfall"]

_COLUMNS: Final = 110


class Waterfall(SavedPicture):
    """What happened when: a row for each call, a bar for each attempt, its waits between.

    Made by `waterfall`. As text, SVG, PNG or HTML; a notebook shows it by itself. The same records give the
    same picture, to the byte. It holds names, times, statuses and kinds of errors; no url, input or value.

    Attributes:
        timeline: The calls, as records.
    """

    def __init__(self, timeline: Timeline, title: str | None = None) -> None:
        self.timeline = timeline
        self._title = title

    @cached_property
    def critical_path(self) -> tuple[PathPart, ...]:
        """What determined the end; see `rxorch.draw.critical_path`."""
        return critical_path(self.timeline)

    @cached_property
    def _rows(self) -> Rows:
        return rows_of(self.timeline)

    @cached_property
    def title(self) -> str:
        """What stands above it."""
        calls, runs = len(self.timeline.calls), self.timeline.runs
        name = "run" if runs == 1 else f"{runs:,} runs" if runs else "waterfall"
        name = name if self._title is None else heading_text(self._title)
        return f"{name} · {calls:,} call{'' if calls == 1 else 's'}"

    @cached_property
    def _below(self) -> str:
        return " · ".join(summary_of(self.timeline))

    def text(self, width: int | None = None, *, ascii: bool = False) -> str:
        """The waterfall as lines, one for each row.

        Args:
            width: Columns, 60 or more; None: 110.
            ascii: Whether to use no character beyond ASCII.

        Raises:
            ApiConfigurationError: `width` is too small.
        """
        width = _COLUMNS if width is None else width
        if width < NARROWEST:
            raise ApiConfigurationError(f"width: give {NARROWEST} columns or more, or None, not {width!r}")
        return text_of(
            self.timeline, self._rows, self.critical_path, self.title, self._below, width, ascii=ascii
        )

    def svg(self, *, scheme: Scheme | None = None) -> str:
        """The waterfall as SVG, self-contained.

        Args:
            scheme: "light" or "dark"; None: as the reader's system is.
        """
        return svg_of(self.timeline, self._rows, self.critical_path, self.title, self._below, scheme)

    def html(self) -> str:
        """The waterfall as a page of its own: the picture, and a table of what it shows."""
        return page_of(self.title, self.svg(), self._details())

    def _details(self) -> str:
        return html_table(self._rows)

    def _forms(self) -> Forms:
        return {**forms_of(self.title, self.svg, self.text), ".html": self.html}

    def to_dataframe(self, library: FrameLibrary | None = None) -> Any:
        """A table with a row for each attempt and wait; times in seconds since the beginning.

        Its columns: run, endpoint, call, kind, start, end, duration, note, status (of the call), critical.

        Args:
            library: "pandas" or "polars"; by default the first of them that is installed.

        Raises:
            ApiConfigurationError: it is not installed, or neither is.
        """
        return frame_of(columns_of(self.timeline, self.critical_path), library)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return mime_bundle(self.title, self.text(), self.svg(), include, exclude, details=self._details())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Waterfall of {self.title} · {self._below}>"


def waterfall(what: Happened, *, title: str | None = None) -> Waterfall:
    """What happened when: attempts, waits with their reasons, hedges, and what determined the end.

    Args:
        what: A `Recording`, the `OrchestrationResult` of `execute`, a `Timeline`, or event records in their
            order.
        title: What stands above it; "run", or how many runs there are, by default.

    Raises:
        ApiConfigurationError: it is none of these, or a result that kept no events.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, APIOrchestrator, sequential
    >>> from rxorch.testing import MockTransport
    >>> flow = sequential(APIEndpoint(name="user", url="https://api.example.com/users/{id}"))
    >>> orchestrator = APIOrchestrator(flow, transport=MockTransport(lambda request: {"id": 7}))
    >>> result = asyncio.run(orchestrator.execute({"id": 7}))
    >>> waterfall(result, title="profile").title
    'profile · 1 call'
    """
    return Waterfall(timeline_of(what), title)
