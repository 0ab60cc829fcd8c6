"""Report: a run, or a stream of them, as a page of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from rxorch.draw.bundle import chosen_forms
from rxorch.draw.masking import heading_text
from rxorch.draw.reporting import happened, planned
from rxorch.draw.reporting.notebook import card_of_report, text_of_report
from rxorch.draw.reporting.page import Figure, Verdict, figures, page_of, section
from rxorch.draw.saving import SavedPage
from rxorch.draw.subject import Drawable, Subject, subject_of
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.reading import Ended, chronicle_of
from rxorch.stream import StreamStatistics

__all__ = ["Report", "report"]

_LEFT_OUT: Final = (
    "This page holds names, numbers, times, urls as they were declared, and kinds of errors. "
    "Inputs, results, bodies, headers and the messages of errors are not in it."
)


class Report(SavedPage):
    """What happened, as one HTML page that needs nothing else, and as a card of a notebook; made by `report`.

    It has figures, the flow with its results, waterfalls, errors by kind and endpoint, changes of circuit
    breakers, the worst case beside what happened, and the settings. It is light or dark as the reader's
    system is, has no script, and holds no input, value or secret. Its size does not grow with the number of
    runs: many are drawn as a sample, and the page says so.
    """

    def __init__(
        self,
        what: Drawable,
        subject: Subject,
        chronicle: Chronicle,
        title: str,
        inputs: StreamStatistics | None,
        *,
        interrupted: bool,
    ) -> None:
        self._what = what
        self._subject = subject
        self._chronicle = chronicle
        self._title = title
        self._inputs = inputs
        self._interrupted = interrupted

    def html(self) -> str:
        """The page."""
        told = self._chronicle
        parts = (
            figures(self._figures()),
            section("Flow", planned.flow(self._subject, told)),
            section("What happened when", happened.pictures(told)),
            section("Errors", happened.errors(told)),
            section("Endpoints", happened.endpoints(told, planned.names(self._subject))),
            section("Circuit breakers", happened.breakers(told)),
            section("Worst case", planned.worst(self._what, told)),
            section("Settings", planned.settings(self._what, self._subject)),
        )
        return page_of(self._title, self._verdict(), parts, _LEFT_OUT)

    def text(self) -> str:
        """How it went, the figures, what happened when and the errors, as lines."""
        return text_of_report(self._title, self._verdict(), self._figures(), self._chronicle)

    def _verdict(self) -> Verdict:
        return happened.verdict(self._chronicle, self._inputs, interrupted=self._interrupted)

    def _figures(self) -> list[Figure]:
        return list(happened.numbers(self._chronicle, self._inputs))

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        shown = card_of_report(
            self._title, self._verdict(), self._figures(), self._what, self._subject, self._chronicle
        )
        return chosen_forms({"text/plain": self.text(), "text/html": shown}, include, exclude)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Report of {self._title}>"


def report(
    what: Drawable,
    after: Ended,
    *,
    title: str | None = None,
    inputs: StreamStatistics | None = None,
    interrupted: bool = False,
) -> Report:
    """A page about what a flow has done.

    Args:
        what: The flow, `APIEndpoint`, `APIOrchestrationConfig` or `APIOrchestrator` that ran.
        after: The result of `execute`, a `Run` of a stream, a `Recording` of any number of runs, a
            `Timeline` or event records.
        title: What stands above it; default: "Report".
        inputs: `statistics()` of the stream, where there was one: inputs that could not be read, or that were
            done before, make no run.
        interrupted: Whether it was stopped before its end.

    Raises:
        ApiConfigurationError: `what` or `after` is none of these.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, APIOrchestrator, sequential
    >>> from rxorch.testing import MockTransport
    >>> flow = sequential(APIEndpoint(name="user", url="https://api.example.com/users/{id}"))
    >>> orchestrator = APIOrchestrator(flow, transport=MockTransport(lambda request: {"id": 7}))
    >>> result = asyncio.run(orchestrator.execute({"id": 7}))
    >>> page = report(orchestrator, result, title="profile").html()
    >>> "it went well" in page, "<script" in page
    (True, False)
    """
    heading = "Report" if title is None else heading_text(title)
    return Report(what, subject_of(what), chronicle_of(after), heading, inputs, interrupted=interrupted)
