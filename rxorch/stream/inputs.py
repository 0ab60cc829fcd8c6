"""From what the user gives to numbered inputs, each with its key."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import uncancelled
from rxorch.errors import ApiValidationError
from rxorch.sources import BadInput
from rxorch.stream.control import Control, Gate
from rxorch.stream.options import StreamOptions
from rxorch_operators import batch, from_async_iterable, from_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage

if TYPE_CHECKING:
    from rxorch.ledger import Ledger, LedgerRecord

__all__ = ["Input", "Inputs", "ManyInputs", "failed_inputs", "source_of"]

ManyInputs: TypeAlias = Iterable[Any] | AsyncIterable[Any] | Observable[Any]

_LONGEST_KEY = 1024


def source_of(inputs: ManyInputs) -> Stage[Any]:
    """The inputs as an observable.

    Raises:
        TypeError: They are not many, or cannot be read.
    """
    if isinstance(inputs, Observable):
        return as_stage(inputs)
    if isinstance(inputs, AsyncIterable):
        return as_stage(from_async_iterable(inputs))
    if isinstance(inputs, Mapping | str | bytes):
        raise TypeError(
            "inputs must be many inputs (an iterable, async iterable or Observable), "
            f"got one {type(inputs).__name__}: put it into a list"
        )
    if isinstance(inputs, Iterable):
        return as_stage(from_iterable(inputs))
    raise TypeError(f"inputs must be an iterable, async iterable or Observable, got {type(inputs).__name__}")


def failed_inputs(ledger: Ledger) -> Iterable[LedgerRecord]:
    """What a ledger has of the inputs that failed or have no end, read when it is iterated."""
    return _Failed(ledger)


class _Failed(Iterable[Any]):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __iter__(self) -> Iterator[LedgerRecord]:
        return self.ledger.unsettled()


class Input:
    """One input of a stream.

    Attributes:
        index: Its place, from 0.
        value: What the source gave.
        key: Its identity; None where nobody asks for one.
        error: Why there is nothing to run: it could not be read, or has no key.
    """

    __slots__ = ("error", "index", "key", "value")

    def __init__(self, index: int, value: Any, key: Hashable, error: Exception | None) -> None:
        self.index = index
        self.value = value
        self.key = key
        self.error = error


class Inputs(Stage[Input]):
    """The inputs of a stream, counted from 0 in each subscription, until the gate is shut."""

    def __init__(self, source: Stage[Any], options: StreamOptions, control: Control) -> None:
        self.source = source
        self.options = options
        self.control = control

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link_type = _Kept if self.options.again else _Numbering
        link = link_type(sink, self.options, self.control)
        source: Observable[Any] = _Gated(self.source, self.control)
        batches = self.options.batch
        if batches is not None:
            size, within = batches if isinstance(batches, tuple) else (batches, None)
            source = batch(size, within)(source)
            link = _Unpacking(sink, self.options, self.control, size)
        return link.connect(as_stage(source), scheduler)


class _Gated(Stage[Any]):
    def __init__(self, source: Stage[Any], control: Control) -> None:
        self.source = source
        self.control = control

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        self.control.gate = gate = Gate(sink, self.control)
        return gate.connect(self.source, scheduler)


class _Numbering(Link):
    """Gives each input its number and its key."""

    __slots__ = ("_count", "_key", "_tally")

    def __init__(self, sink: ObserverBase[Any], options: StreamOptions, control: Control) -> None:
        super().__init__(sink)
        self._count = 0
        self._key = _keyed(options)
        self._tally = control.tally

    def on_next(self, value: Any) -> None:
        index = self._count
        self._count = index + 1
        self._tally.read += 1
        error: Exception | None = None
        key: Hashable = None
        if isinstance(value, BadInput):
            error = value.error
            key = str(value) if self._key is not None else None
        elif self._key is not None:
            try:
                key = self._key(index, value)
            except Exception as failure:
                error = failure
        self.sink.on_next(Input(index, value, key, error))


class _Kept(_Numbering):
    """Inputs that a ledger has kept, with their keys."""

    __slots__ = ()

    def on_next(self, value: LedgerRecord) -> None:
        index = self._count
        self._count = index + 1
        self._tally.read += 1
        self.sink.on_next(Input(index, value.input, value.key, None))


class _Unpacking(_Numbering):
    """Batches: what could not be read is an input of its own."""

    __slots__ = ("_control", "_whole")

    def __init__(self, sink: ObserverBase[Any], options: StreamOptions, control: Control, size: int) -> None:
        super().__init__(sink, options, control)
        self._control = control
        self._whole = size if options.ledger is not None else 0

    def on_next(self, value: list[Any]) -> None:
        if len(value) < self._whole and self._control.is_short:
            return  # with the rest it is another batch, which is the one that the ledger must know
        good = [each for each in value if not isinstance(each, BadInput)]
        if good:
            super().on_next(good)
        for each in value:
            if isinstance(each, BadInput) and not self.is_disposed:
                super().on_next(each)


def _keyed(options: StreamOptions) -> Callable[[int, Any], Hashable] | None:
    given, in_ledger = options.key, options.ledger is not None
    if given is None:
        return (lambda index, _: str(index)) if in_ledger else None

    def key(_: int, value: Any) -> Hashable:
        found = uncancelled(given, value)
        if in_ledger:
            return _text(found)
        hash(found)
        return found

    return key


def _text(key: Any) -> str:
    if isinstance(key, bool) or not isinstance(key, str | int):
        kind = type(key).__name__
        raise ApiValidationError(f"key: a ledger knows inputs by text or whole numbers, not {kind}")
    text = str(key)
    if not 0 < len(text) <= _LONGEST_KEY:
        raise ApiValidationError(f"key: a ledger takes 1 to {_LONGEST_KEY:,} characters, got {len(text):,}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiValidationError("key: a ledger takes text, and half a pair of surrogates is none") from None
    return text
