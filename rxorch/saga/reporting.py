"""RunsReport: runs of sagas as a page of their own: how they ended, and what was undone of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from rxorch.draw.bundle import chosen_forms, image_of
from rxorch.draw.cards_html import Html, details, joined
from rxorch.draw.masking import heading_text
from rxorch.draw.reporting.notebook import folded, heading_of_report, report_card
from rxorch.draw.reporting.page import figures, page_of, section
from rxorch.draw.saving import SavedPage
from rxorch.saga.records import SagaState
from rxorch.saga.report_sections import causes, numbers, stories, sums_of_steps, verdict
from rxorch.saga.report_sums import RunSums, RunTold, cause_word

if TYPE_CHECKING:
    from rxorch.saga.reading import JournalView
    from rxorch.saga.records import RunRecord

__all__ = ["RunTold", "RunsReport", "runs_report"]

_MOST_CAUSES: Final = 8
_MOST_DEAD: Final = 8
_SLOWEST: Final = 3
_IN_NOTEBOOK: Final = 3
"""Runs that are drawn in a notebook, or written as text."""
_LEFT_OUT: Final = (
    "This page holds names, numbers, times, and what errors said, without secrets. Inputs, results, bodies "
    "and headers are not in it."
)


class RunsReport(SavedPage):
    """Runs of a saga, as one HTML page that needs nothing else.

    It has figures, the causes for which runs were undone, sums by step, and pictures of runs with their steps
    and events: of all, where there is one; else of dead letters, of the first that was undone for each cause,
    and of the slowest. So its size does not grow with the number of runs. It is light or dark as the reader's
    system is, has no script, and holds no input, value or secret. A notebook shows it as a card.

    >>> from rxorch.saga import RunRecord, SagaState
    >>> run = RunRecord(
    ...     "order-7", "order", "f1", SagaState.COMPLETED, b"{}", None, None, "", 5, 6, 1, None, 0
    ... )
    >>> page = RunsReport()
    >>> page.add(RunTold(run))
    >>> "it is completed" in page.html(), "<script" in page.html()
    (True, False)
    """

    def __init__(self, title: str | None = None) -> None:
        self._title = title
        self._sums = RunSums()
        self._dead: list[RunTold] = []
        self._by_cause: dict[str, RunTold] = {}
        self._slowest: list[RunTold] = []
        self._last: RunTold | None = None

    def add(self, told: RunTold) -> None:
        """The next run."""
        self._sums.add(told)
        self._last = told
        if told.run.state is SagaState.FAILED:
            if len(self._dead) < _MOST_DEAD:
                self._dead.append(told)
        elif told.run.state is not SagaState.COMPLETED and len(self._by_cause) < _MOST_CAUSES:
            self._by_cause.setdefault(cause_word(told.run.error), told)
        slowest = sorted([*self._slowest, told], key=lambda each: -each.duration)
        self._slowest = slowest[:_SLOWEST]

    def html(self) -> str:
        """The page."""
        sums = self._sums
        is_one = sums.runs == 1 and self._last is not None
        parts = (
            figures(list(numbers(sums))),
            section("Why runs were undone", causes(sums)) if not is_one else "",
            section("Steps", sums_of_steps(sums)) if not is_one else "",
            *(section(heading, shown) for heading, shown in stories(self._chosen())),
        )
        return page_of(self._heading(), verdict(sums), parts, _LEFT_OUT)

    def _heading(self) -> str:
        if self._title is not None:
            return heading_text(self._title)
        if self._sums.runs == 1 and self._last is not None:
            return self._last.picture.heading
        return "Runs of sagas"

    def _chosen(self) -> dict[str, list[RunTold]]:
        """The runs that are shown, each once, by what they are shown for."""
        if self._sums.runs == 1 and self._last is not None:
            return {"": [self._last]}
        groups = {
            "Dead letters": self._dead,
            "The first run that was undone for each cause": [*self._by_cause.values()],
            "The slowest runs": self._slowest,
        }
        seen: set[str] = set()
        chosen: dict[str, list[RunTold]] = {}
        for heading, group in groups.items():
            chosen[heading] = [told for told in group if told.run.run_id not in seen]
            seen |= {told.run.run_id for told in group}
        return chosen

    def text(self) -> str:
        """How it went, the figures, and runs as lines: those that the page shows, but no more than three."""
        sums = self._sums
        head = heading_of_report(self._heading(), verdict(sums), list(numbers(sums)))
        return "\n\n".join([head, *(told.picture.text() for told in self._first_chosen())])

    def _first_chosen(self) -> list[RunTold]:
        return [told for group in self._chosen().values() for told in group][:_IN_NOTEBOOK]

    def _card(self) -> Html:
        sums = self._sums
        drawn = [told.picture for told in self._first_chosen()]
        images = [Html(image_of(each.heading, each.svg())) for each in drawn]
        if sums.runs == 1:
            parts = [*images]
        else:
            parts = [
                folded("why runs were undone", causes(sums), is_open=True),
                folded("steps", sums_of_steps(sums), is_open=True),
                *(details(each.title, image) for each, image in zip(drawn, images, strict=True)),
            ]
        return report_card(self._heading(), verdict(sums), list(numbers(sums)), joined(parts))

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return chosen_forms({"text/plain": self.text(), "text/html": self._card()}, include, exclude)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<RunsReport of {self._sums.runs:,} runs>"


def runs_report(
    view: JournalView, runs: Iterable[RunRecord], *, title: str | None = None, names: Sequence[str] = ()
) -> RunsReport:
    """A page about runs in the file of a journal.

    Args:
        view: The journal, as `reading` gives it.
        runs: Those that the page is about.
        title: What stands above it; default: the run, if there is one alone.
        names: All steps of the saga in their order, if the runs are of one.
    """
    made = RunsReport(title)
    for run in runs:
        made.add(RunTold(run, view.steps(run.run_id), view.history(run.run_id), names))
    return made
