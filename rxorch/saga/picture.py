"""RunPicture: a run of a saga as a picture: its steps in their order, and what was undone of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rxorch.draw.bundle import mime_bundle
from rxorch.draw.facts import printable, shown_name
from rxorch.draw.masking import masked
from rxorch.draw.saving import Forms, SavedPicture, forms_of
from rxorch.saga.records import AuditEvent, RunRecord, SagaState, StepRecord, StepStatus
from rxorch_operators._seconds import seconds_words

__all__ = [
    "COLOURS",
    "SIGNS",
    "STATE_COLOURS",
    "WORDS",
    "RunPicture",
    "StepRow",
    "cause_of",
    "count_of",
    "plight_of",
    "run_picture",
    "state_word",
    "time_of",
    "told_of",
    "undo_colour",
    "undo_word",
]

Paint: TypeAlias = Callable[[str, str], str]
Piece: TypeAlias = tuple[str, str]

SIGNS: Final = {
    StepStatus.COMPLETED: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.UNKNOWN: "?",
    StepStatus.STARTED: "…",
    StepStatus.WAITING: "…",
    StepStatus.SKIPPED: "·",
}
COLOURS: Final = {
    StepStatus.COMPLETED: "green",
    StepStatus.FAILED: "red",
    StepStatus.UNKNOWN: "yellow",
    StepStatus.STARTED: "cyan",
    StepStatus.WAITING: "cyan",
    StepStatus.SKIPPED: "dim",
}
STATE_COLOURS: Final = {
    SagaState.COMPLETED: "green",
    SagaState.COMPENSATED: "yellow",
    SagaState.FAILED: "red",
}
WORDS: Final = {
    StepStatus.FAILED: "failed",
    StepStatus.UNKNOWN: "nobody knows",
    StepStatus.STARTED: "under way",
    StepStatus.WAITING: "waiting",
    StepStatus.SKIPPED: "skipped",
}
_UNDO_WORDS: Final = {
    StepStatus.COMPLETED: "undone",
    StepStatus.FAILED: "could not be undone",
    StepStatus.UNKNOWN: "perhaps undone",
    StepStatus.STARTED: "being undone",
}
_ASCII: Final = str.maketrans(
    {"├": "|", "└": "`", "─": "-", "◀": "<", "·": "-", "✓": "+", "✗": "x", "…": "~"}
)
_LONGEST: Final = 300
"""Characters of an error's message that are shown; the history has it whole."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step in a picture.

    Attributes:
        name: Of the step.
        done: What is known of it; None: it was not begun.
        undone: What is known of its undoing; None: there is none.
        absence: What there is to say of one that was not begun, or not since its run was reopened.
    """

    name: str
    done: StepRecord | None = None
    undone: StepRecord | None = None
    absence: str = "not begun"


class RunPicture(SavedPicture):
    """A run as a picture: as text and as SVG; a notebook shows it by itself.

    The same records give the same picture, to the byte. It holds no input and no result, but the messages of
    errors.

    Args:
        run: The run.
        steps: What is known of its steps and their undoings.
        names: All steps of its saga, in their order: those that were not begun are shown too.
        history: Its events: those steps too are shown that failed before it was reopened.

    >>> from rxorch.saga import RunRecord, SagaState, StepRecord, StepStatus
    >>> run = RunRecord(
    ...     "order-7", "order", "f1", SagaState.COMPENSATED, b"{}", None, None, "", 5, 6, 1, None, 0
    ... )
    >>> def step(name, status, began, undo=False):
    ...     return StepRecord(name, undo, status, 1, "k", began, began + 1, began_at=5.0, ended_at=5.012)
    >>> steps = [
    ...     step("charge", StepStatus.COMPLETED, 1),
    ...     step("ship", StepStatus.FAILED, 3),
    ...     step("charge", StepStatus.COMPLETED, 5, undo=True),
    ... ]
    >>> print(RunPicture(run, steps).text())
    order · order-7 · compensated · 1 s
    ├─ charge  ✓ 1x  12 ms   ◀── undone 1x  12 ms
    └─ ship    ✗ 1x  12 ms   failed
    """

    def __init__(
        self,
        run: RunRecord,
        steps: Sequence[StepRecord],
        names: Sequence[str] = (),
        history: Sequence[AuditEvent] = (),
    ) -> None:
        self.run = run
        self.rows: tuple[StepRow, ...] = tuple(_rows(run.state, steps, names, history))

    @property
    def heading(self) -> str:
        """Saga and run."""
        return f"{shown_name(self.run.saga)} · {shown_name(self.run.run_id)}"

    @property
    def time(self) -> str:
        """From the beginning of the run to its end."""
        run = self.run
        return seconds_words(run.changed - run.began) if run.state.is_over else "not over"

    @property
    def title(self) -> str:
        """Saga, run, state and time."""
        return f"{self.heading} · {state_word(self.run)} · {self.time}"

    def reasons(self) -> list[str]:
        """Why the run did not go forward, and why a step could not be undone."""
        why = cause_of(self.run.error or {})
        undone = [row.undone for row in self.rows if row.undone is not None]
        return [f"because of {why}"] * bool(why) + [
            f"undoing {printable(each.step)}: {told_of(each.error)}"
            for each in undone
            if each.error is not None
        ]

    def text(self, *, ascii: bool = False, paint: Paint | None = None) -> str:
        """A line for each step: how it stands, how often it was begun, the time of its last attempt; behind
        the arrow the same of its undoing.

        Args:
            ascii: Whether to use no character beyond ASCII.
            paint: Gives a text a colour, by its name: `green`, `red`, `yellow`, `cyan` or `dim`.
        """
        lines = []
        for line in _lines(self):
            last, colour = line[-1]
            pieces = [*line[:-1], (last.rstrip(), colour)]
            if ascii:
                pieces = [(_plain(text), colour) for text, colour in pieces]
            lines.append(
                "".join(paint(text, colour) if paint and colour else text for text, colour in pieces)
            )
        return "\n".join(lines)

    def svg(self) -> str:
        """The picture as SVG, self-contained; light or dark as the reader's system is."""
        from rxorch.saga.picture_svg import svg_of

        return svg_of(self)

    def _forms(self) -> Forms:
        return forms_of(self.heading, self.svg, self.text)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return mime_bundle(self.title, self.text(), self.svg(), include, exclude)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<RunPicture of {self.title}>"


def _plain(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode()


def run_picture(
    run: RunRecord, steps: Sequence[StepRecord], names: Sequence[str] = (), *, ascii: bool = False
) -> str:
    """A run as text: see `RunPicture`."""
    return RunPicture(run, steps, names).text(ascii=ascii)


def _rows(
    state: SagaState, steps: Sequence[StepRecord], names: Sequence[str], history: Sequence[AuditEvent]
) -> Iterator[StepRow]:
    """The steps that were begun, in the order in which they were, and those that were not."""
    told = {event.data["step"] for event in history if event.kind.startswith("step.")}
    done = {each.step: each for each in sorted(steps, key=lambda each: each.began) if not each.undo}
    undone = {each.step: each for each in steps if each.undo}
    for name in dict.fromkeys([*done, *undone, *sorted(told - set(names)), *names]):
        failed_before = "to be tried again" if state is SagaState.RUNNING else "failed before"
        absence = failed_before if name in told else "not begun"
        yield StepRow(name, done.get(name), undone.get(name), absence)


def _lines(picture: RunPicture) -> Iterator[list[Piece]]:
    """The lines as pieces: a text and its colour."""
    run, rows = picture.run, picture.rows
    yield [
        (f"{picture.heading} · ", ""),
        (state_word(run), STATE_COLOURS.get(run.state, "cyan")),
        (f" · {picture.time}", ""),
    ]
    name = _widest(printable(row.name) for row in rows)
    count = _widest(count_of(each) for row in rows for each in (row.done, row.undone))
    time = _widest(time_of(row.done) for row in rows)
    told = _widest(WORDS.get(row.done.status, "") for row in rows if row.done and row.undone)
    undo, undo_time = _widest(undo_word(row) for row in rows), _widest(time_of(row.undone) for row in rows)
    for row in rows:
        branch = "└─ " if row is rows[-1] else "├─ "
        line: list[Piece] = [(f"{branch}{printable(row.name):{name}}  ", "")]
        if row.done is not None:
            status = row.done.status
            line.append((SIGNS[status], COLOURS[status]))
            line.append((f" {count_of(row.done):>{count}}  {time_of(row.done):>{time}}", ""))
            word = WORDS.get(status, "")
            if row.undone is not None:
                word = f"{word:{told}}"
            if word:
                line += [("   ", ""), (word, COLOURS[status])]
        else:
            line.append((f"· {row.absence}", "dim"))
        if row.undone is not None:
            line += [("   ◀── ", ""), (f"{undo_word(row):{undo}}", undo_colour(row.undone))]
            line.append((f" {count_of(row.undone):>{count}}  {time_of(row.undone):>{undo_time}}", ""))
        yield line
    for reason in picture.reasons():
        yield [(reason, "")]


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def state_word(run: RunRecord) -> str:
    """Its state in words."""
    return str(run.state).replace("_", " ")


def undo_colour(step: StepRecord) -> str:
    """The colour of an undoing."""
    return "yellow" if step.status is StepStatus.COMPLETED else COLOURS[step.status]


def undo_word(row: StepRow) -> str:
    """How its undoing stands; nothing where there is none."""
    return "" if row.undone is None else _UNDO_WORDS.get(row.undone.status, str(row.undone.status))


def count_of(step: StepRecord | None) -> str:
    """How often it was begun."""
    return "" if step is None or not step.attempt else f"{step.attempt}x"


def time_of(step: StepRecord | None) -> str:
    """The time of its last attempt; nothing where that has no end, or took no time."""
    if step is None or step.ended_at is None or step.status is StepStatus.SKIPPED:
        return ""
    return seconds_words(step.ended_at - step.began_at)


def told_of(error: dict[str, str]) -> str:
    """Type and message of an error, in one line and without secrets."""
    kind, message = error.get("type", ""), masked(error.get("message", ""), _LONGEST)
    return ": ".join(part for part in (printable(kind), message) if part)


def cause_of(error: dict[str, str]) -> str:
    """Why a run does not go forward, in one line: the step, and its error."""
    step = shown_name(error.get("step", ""))
    return ": ".join(part for part in (step, told_of(error)) if part)


def plight_of(error: dict[str, str]) -> str:
    """Why a run is where it is: what could not be undone, before why that was to be undone."""
    undo, cause = masked(error.get("undo", ""), _LONGEST), cause_of(error)
    return ", because of ".join(part for part in (undo, cause) if part)
