"""Cards of errors: what happened, where, and what led to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rxorch.draw.cards_html import (
    Html,
    address,
    and_more,
    card,
    chip,
    code,
    cut,
    details,
    line,
    muted,
    strong,
    table,
)
from rxorch.draw.cards_result import outcome_table
from rxorch.draw.facts import shown_name
from rxorch.draw.masking import error_text, masked
from rxorch.errors import ApiError
from rxorch.flow import OrchestrationResult
from rxorch.http.redaction import redact_headers, redact_url
from rxorch_operators._seconds import seconds_words

__all__ = ["error_card", "error_line"]

_MOST_CAUSES: Final = 5
_MOST_FAULTS: Final = 10
_MOST_HEADERS: Final = 20


def error_line(error: BaseException) -> Html:
    """An error in one line."""
    return line(chip(f"✗ {type(error).__name__}", "failed"), error_text(error))


def error_card(error: ApiError) -> Html:
    """An error of the tree with its facts."""
    return card(
        line(
            chip(f"✗ {type(error).__name__}", "failed"), strong(masked(error.message) or type(error).__name__)
        ),
        table((), list(_facts(error))),
        _causes(error),
        _faults(error),
        _headers(error),
        _partial(error),
    )


def _facts(error: ApiError) -> Iterator[tuple[object, object]]:
    if error.endpoint:
        yield muted("endpoint"), code(cut(shown_name(error.endpoint)))
    if error.url:
        yield muted("url"), address(masked(redact_url(error.url)))
    if error.attempts:
        yield muted("attempts"), error.attempts
    if error.elapsed is not None:
        yield muted("took"), seconds_words(error.elapsed)
    if error.retry_after is not None:
        yield muted("worth another try in"), seconds_words(error.retry_after)
    body = getattr(error, "body", "")
    if body:
        yield muted("body"), joined_note(len(body))


def joined_note(length: int) -> Html:
    """Where the body is: it may be anybody's data, and is not shown."""
    return Html(f"{code('error.body')} {muted(f'({length:,} characters)')}")


def _causes(error: BaseException) -> Html:
    found: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in found and len(found) < _MOST_CAUSES:
        found.append(cause)
        cause = cause.__cause__
    return details("because of", *map(error_line, found)) if found else Html("")


def _faults(error: ApiError) -> Html:
    faults: Any = getattr(error, "errors", ())
    if not faults:
        return Html("")
    rows = [(code(_where(fault)), masked(_what(fault))) for fault in [*faults][:_MOST_FAULTS]]
    more = len(faults) - len(rows)
    note = line(and_more(more))
    return details(f"{len(faults):,} faults", table((), rows), note, is_open=True)


def _where(fault: Any) -> str:
    place = fault.get("loc", ()) if isinstance(fault, Mapping) else getattr(fault, "path", ())
    return masked(".".join(map(str, place)), 80)


def _what(fault: Any) -> str:
    said = fault.get("msg", "") if isinstance(fault, Mapping) else getattr(fault, "message", fault)
    return str(said)


def _headers(error: ApiError) -> Html:
    headers: Any = getattr(error, "headers", None)
    if not headers:
        return Html("")
    first = {name: headers[name] for name in [*headers][:_MOST_HEADERS]}
    shown = redact_headers(first).items()
    return details("headers", table((), [(code(name), code(masked(value, 120))) for name, value in shown]))


def _partial(error: ApiError) -> Html:
    result = error.result
    if not isinstance(result, OrchestrationResult) or not result.outcomes:
        return Html("")
    return details("what was done before (error.result)", outcome_table(result.outcomes))
