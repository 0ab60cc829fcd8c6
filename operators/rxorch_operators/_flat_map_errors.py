"""flat_map_bounded that goes on after an error: what it puts around each of its forms.

Three links know of errors, and so the forms need not: one behind the source and one behind each inner turn an
error into an end, and the one before the sink raises at the end what is due. Only a cancellation passes them
all: it is nobody's failure, and who cancels wants an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias, cast

from reactivex.abc import DisposableBase, ObserverBase

from .core.demand import DemandScheduler
from .core.inner import Project, attach_inner
from .core.stage import DISPOSED, NOTHING, Link, Stage
from .results import Failure, Success

__all__ = ["Form", "Key", "TolerantFlatMap"]

Key: TypeAlias = Callable[[Any], Hashable]
Form: TypeAlias = Callable[[Stage[Any], Project, Key | None], Stage[Any]]
"""Makes a flat_map_bounded that ends at the first error."""


class TolerantFlatMap(Stage[Any]):
    """A form of flat_map_bounded whose failures do not end it.

    Args:
        source: What to read.
        form: What to put the links around.
        project: The function of the user.
        key: The other function of the user, if there is one.
        as_result: Whether failures are emitted; else they are raised at the end.
        ordered: Whether the errors raised at the end stand in the order of the source; else as they came.
    """

    def __init__(
        self,
        source: Stage[Any],
        form: Form,
        project: Project,
        key: Key | None,
        *,
        as_result: bool,
        ordered: bool,
    ) -> None:
        self.source = source
        self.form = form
        self.project = project
        self.key = key
        self.as_result = as_result
        self.ordered = ordered

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        errors = _Errors(self.ordered)
        attempt = _Attempts(self.project, errors, keyed=self.key is not None, as_result=self.as_result)
        source = _Source(self.source, self.key, errors)
        form = self.form(source, attempt, None if self.key is None else _lane)
        return _Verdict(sink, errors).connect(form, scheduler)


class _Errors:
    """The errors of one subscription, to be raised at its end."""

    __slots__ = ("_in_order", "_noted", "_source")

    def __init__(self, in_order: bool) -> None:
        self._in_order = in_order
        self._noted: list[tuple[int, Exception]] = []
        self._source: Exception | None = None

    def note(self, place: int, error: Exception) -> None:
        """An element failed."""
        self._noted.append((place, error))

    def note_source(self, error: Exception) -> None:
        """The source failed: no element follows, so its error is the last in any order."""
        self._source = error

    def verdict(self) -> Exception | None:
        """What to end with: nothing, the only error, or a group of all."""
        if self._in_order:
            self._noted.sort(key=lambda noted: noted[0])
        errors = [error for _, error in self._noted]
        if self._source is not None:
            errors.append(self._source)
        if len(errors) > 1:
            return ExceptionGroup(f"flat_map_bounded: {len(errors)} errors", errors)
        return errors[0] if errors else None


class _Verdict(Link):
    """Raises at the end what is due."""

    __slots__ = ("_errors",)

    def __init__(self, sink: ObserverBase[Any], errors: _Errors) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._errors = errors

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        error = self._errors.verdict()
        if error is None:
            self.sink.on_completed()
        else:
            self.sink.on_error(error)


class _Source(Stage[Any]):
    """The source, whose error is noted and then is an end like any other."""

    def __init__(self, source: Stage[Any], key: Key | None, errors: _Errors) -> None:
        self.source = source
        self.key = key
        self.errors = errors

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _SourceLink(sink, self.errors) if self.key is None else _Sorting(sink, self.errors, self.key)
        return link.connect(self.source, scheduler)


class _SourceLink(Link):
    __slots__ = ("_errors",)

    def __init__(self, sink: ObserverBase[Any], errors: _Errors) -> None:
        super().__init__(sink)
        self._errors = errors

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        failed = isinstance(error, Exception)
        if failed:
            self._errors.note_source(error)
            self.sink.on_completed()
        else:
            self.sink.on_error(error)


class _Keyed:
    """An element and its key, or why there is none."""

    __slots__ = ("error", "key", "value")

    def __init__(self, value: Any, key: Hashable, error: Exception | None) -> None:
        self.value = value
        self.key = key
        self.error = error


def _lane(keyed: _Keyed) -> Hashable:
    return keyed.key


class _Sorting(_SourceLink):
    """Asks for the key here, where a key that cannot be had is one element's failure."""

    __slots__ = ("_key",)

    def __init__(self, sink: ObserverBase[Any], errors: _Errors, key: Key) -> None:
        super().__init__(sink, errors)
        self._key = key

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        error = None
        try:
            key = self._key(value)
            hash(key)
        except (Exception, asyncio.CancelledError) as broken:
            error, key = broken, object()  # a lane of its own
        self.sink.on_next(_Keyed(value, key, error))  # type: ignore[arg-type]


class _Attempts:
    """The function of the user, as a function that never raises."""

    __slots__ = ("_as_result", "_begun", "_errors", "_keyed", "_project")

    def __init__(self, project: Project, errors: _Errors, *, keyed: bool, as_result: bool) -> None:
        self._project = project
        self._errors = errors
        self._keyed = keyed
        self._as_result = as_result
        self._begun = 0

    def __call__(self, value: Any) -> Stage[Any]:
        self._begun += 1
        error = None
        if self._keyed:
            value, error = value.value, value.error
        return _Attempt(self._project, value, error, self._begun, None if self._as_result else self._errors)


class _Attempt(Stage[Any]):
    """What the user's function makes of one element, with its error turned into an end."""

    def __init__(
        self, project: Project, value: Any, error: Exception | None, place: int, errors: _Errors | None
    ) -> None:
        self.project = project
        self.value = value
        self.error = error
        self.place = place
        self.errors = errors

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        errors = self.errors
        link = _Reporting(sink, self.value) if errors is None else _Noting(sink, self.place, errors)
        if self.error is not None:
            link.on_error(self.error)
            return link
        try:
            attach_inner(link, self.project(self.value), scheduler)
        except (Exception, asyncio.CancelledError) as error:
            # Only a form attaches us, with a link of its own. It cannot dispose ours before it has it.
            if link.is_disposed or cast("Link", sink).is_disposed:
                raise
            link.on_error(error)  # type: ignore[arg-type]
        return link


class _Noting(Link):
    """on_error="delay": notes the error of an inner for the end."""

    __slots__ = ("_errors", "_place")

    def __init__(self, sink: ObserverBase[Any], place: int, errors: _Errors) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._place = place
        self._errors = errors

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        failed = isinstance(error, Exception)
        if failed:
            self._errors.note(self._place, error)
            self.sink.on_completed()
        else:
            self.sink.on_error(error)


class _Reporting(Link):
    """on_error="as_result": emits what comes of one element as `Success` and `Failure`."""

    __slots__ = ("_input",)

    def __init__(self, sink: ObserverBase[Any], value: Any) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._input = value

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_next(Success(value, self._input))

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        failed = isinstance(error, Exception)
        if not failed:
            self.release()
            self.sink.on_error(error)
            return
        upstream, self.upstream = self.upstream, NOTHING
        upstream.dispose()
        self.sink.on_next(Failure(error, self._input))
        if self.upstream is not DISPOSED:  # else: the failure made the sink dispose us
            self.upstream = DISPOSED
            self.sink.on_completed()
