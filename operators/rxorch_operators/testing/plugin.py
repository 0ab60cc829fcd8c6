"""The pytest plugin: the fixture `laws`, the option `--laws`, and a line about them at the end of the run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import pytest

if TYPE_CHECKING:
    from .book import LawBook

    class WorkerNode(Protocol):
        """A process of pytest-xdist that has ended, as the one that started it sees it."""

        config: pytest.Config


SIZES: Final = {"short": 2_000, "long": 50_000}
"""Generated cases for each operator."""

_BOOK: Final = pytest.StashKey["LawBook"]()
_PLAYED: Final = pytest.StashKey[Counter[str]]()
_SENT_AS: Final = "rxorch_operators_laws"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--laws`."""
    parser.getgroup("rxorch operators").addoption(
        "--laws",
        default="short",
        metavar="short|long|N",
        help="generated cases for each operator: short (2,000, the same in every run), "
        "long (50,000, others in every run), or their number",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a size that is none."""
    size_of(str(config.getoption("--laws")))


def size_of(wanted: str) -> int:
    """How many cases an option stands for.

    Args:
        wanted: `short`, `long` or a number.

    Raises:
        pytest.UsageError: It is none of these.
    """
    if wanted in SIZES:
        return SIZES[wanted]
    if wanted.isascii() and wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    raise pytest.UsageError(f"--laws={wanted}: give short, long, or the number of cases for each operator")


@pytest.fixture(scope="session")
def laws(request: pytest.FixtureRequest) -> LawBook:
    """The law book: `laws.check(Subject(...))` plays generated cases and raises `LawBroken`."""
    from .book import LawBook

    wanted = str(request.config.getoption("--laws"))
    book = LawBook(size_of(wanted), derandomize=wanted == "short")
    request.config.stash[_BOOK] = book
    return book


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Counts what was checked; a worker of pytest-xdist sends it to the process that started it."""
    book = session.config.stash.get(_BOOK, None)
    if book is None:
        return
    _count(session.config, book.checked)
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SENT_AS] = dict(book.checked)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerNode) -> None:
    """Adds what a worker of pytest-xdist has checked; one that crashed has sent nothing."""
    _count(node.config, getattr(node, "workeroutput", {}).get(_SENT_AS, {}))


def _count(config: pytest.Config, checked: dict[str, int]) -> None:
    config.stash.setdefault(_PLAYED, Counter()).update(checked)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says how much was checked, by all workers together."""
    played = config.stash.get(_PLAYED, None)
    if played:
        cases = played.values()
        terminalreporter.write_line(
            f"laws of operators: {len(cases)} operators, {sum(cases):,} generated cases, "
            f"{min(cases):,} or more for each"
        )
