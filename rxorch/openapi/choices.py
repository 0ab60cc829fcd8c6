"""Types that decide while they validate: references, which are built at their first use, and unions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from rxorch.errors import ApiValidationError
from rxorch.openapi.document import not_too_deep

__all__ = ["Choice", "Discriminator", "Later", "adapter_of", "plain"]


def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Compile a type. A number may stand where a text is wanted: not all APIs agree what an id is."""
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return TypeAdapter(kind) if is_model else TypeAdapter(kind, config=ConfigDict(coerce_numbers_to_str=True))


def plain(value: Any) -> Any:
    """Return a model as the mapping that it would be sent as; anything else as it is."""
    return value.model_dump(by_alias=True, exclude_unset=True) if isinstance(value, BaseModel) else value


_MOST_TEXT: Final = 200
"""Most characters that are repeated of the fault of an alternative."""

_Outcome = tuple[Any, Any, Exception | None]
"""A value that was validated, what became of it, and the error if there was one."""

_outcomes: ContextVar[dict[tuple[int, int], _Outcome] | None] = ContextVar("outcomes", default=None)
"""Of the validation under way: union and value, by their ids, to what came of them."""


_open: ContextVar[set[tuple[int, int]] | None] = ContextVar("open", default=None)
"""References and values, by their ids, that are being validated: one that comes again leads in a circle."""


class _Deciding:
    """Annotation of ``Any`` by which pydantic calls ``validate``."""

    title: str

    def validate(self, value: Any) -> Any:
        """Return the valid value, or raise pydantic's error."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"title": self.title}

    def __repr__(self) -> str:
        return self.title


class Later(_Deciding):
    """The type that a reference leads to, built when the first value comes.

    So each model is compiled once and alone. Put into each other, the 700 schemas of a large API would be
    compiled anew for every one of its endpoints, and one that contains itself would need forward references.

    Args:
        title: shown in representations.
        make: builds the type.
    """

    def __init__(self, title: str, make: Callable[[], Any]) -> None:
        self.title = title
        self._make = make

    @cached_property
    def kind(self) -> Any:
        """The type itself."""
        return self._make()

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        with not_too_deep(f"the schema {self.title}"):
            return adapter_of(self.kind)

    @cached_property
    def _is_model(self) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, BaseModel)

    def validate(self, value: Any) -> Any:
        """Validate by the type that the reference leads to."""
        value = plain(value)
        adapter = self._adapter
        if self._is_model:
            return adapter.validate_python(value)
        under_way = _open.get()
        if under_way is None:
            token = _open.set(set())
            try:
                return self.validate(value)
            finally:
                _open.reset(token)
        key = (id(self), id(value))
        if key in under_way:
            raise PydanticCustomError("circle", "The schema refers to itself")
        under_way.add(key)
        try:
            return adapter.validate_python(value)
        finally:
            under_way.discard(key)


class Discriminator:
    """The property of an object that tells which type of a union it is.

    Args:
        key: name of the property.
        kinds: its values to positions in the union.
        otherwise: position for all other values; None: whatever fits best.
    """

    def __init__(self, key: str, kinds: Mapping[str, int], otherwise: int | None = None) -> None:
        self.key = key
        self.kinds = kinds
        self.otherwise = otherwise

    def position(self, value: Any) -> int | None:
        """Return the position that a value names; None if what fits best must be found."""
        tag = value.get(self.key) if isinstance(value, Mapping) else None
        return self.kinds.get(tag, self.otherwise) if isinstance(tag, str) else self.otherwise


class Choice(_Deciding):
    """A union (``oneOf``, ``anyOf``): the type that the discriminator names, else the one that fits best.

    Models allow unknown fields, so that often several fit. The best is the one to which the fewest are
    unknown; among equals the first counts. That more than one fits is no fault, though ``oneOf`` says so.

    Args:
        kinds: the types.
        discriminator: how an object tells its type, where it does.
    """

    def __init__(self, kinds: Sequence[Any], discriminator: Discriminator | None = None) -> None:
        self.kinds = tuple(kinds)
        self.title = " | ".join(_title(kind) for kind in self.kinds)
        self._discriminator = discriminator

    @cached_property
    def _adapters(self) -> tuple[TypeAdapter[Any], ...]:
        return tuple(adapter_of(kind) for kind in self.kinds)

    def validate(self, value: Any) -> Any:
        """Validate by the one type that fits best.

        Within one validation each union tries a value once. Otherwise unions within unions, which try
        the same part for each alternative around it, would take time exponential in the depth of a value.
        """
        value = plain(value)
        outcomes = _outcomes.get()
        if outcomes is not None:
            return self._remembered(value, outcomes)
        outcomes = {}
        token = _outcomes.set(outcomes)
        try:
            return self._remembered(value, outcomes)
        finally:
            _outcomes.reset(token)

    def _remembered(self, value: Any, outcomes: dict[tuple[int, int], _Outcome]) -> Any:
        key = (id(self), id(value))
        if key not in outcomes:
            # With the value, so that nothing else is given its id. Until it is decided, a union that asks
            # itself about the same value has no answer.
            outcomes[key] = value, None, PydanticCustomError("circle", "The schema refers to itself")
            try:
                outcomes[key] = value, self._decide(value), None
            except (ValidationError, PydanticCustomError) as error:
                outcomes[key] = value, None, error
        _, found, fault = outcomes[key]
        if fault is not None:
            raise fault.with_traceback(None)
        return found

    def _decide(self, value: Any) -> Any:
        named = None if self._discriminator is None else self._discriminator.position(value)
        if named is not None:
            return self._adapters[named].validate_python(value)
        best, best_fit, faults = None, None, []
        for adapter in self._adapters:
            try:
                found = adapter.validate_python(value)
            except ValidationError as error:
                faults.append(error)
                continue
            fit = _fit(found, value)
            if best_fit is None or fit > best_fit:
                best, best_fit = found, fit
        if best_fit is None:
            raise self._no_fit(faults)
        return best

    def _no_fit(self, faults: list[ValidationError]) -> Exception:
        fault = ApiValidationError.from_pydantic(min(faults, key=lambda error: error.error_count())).errors[0]
        place = ".".join(map(str, fault["loc"]))
        nearest = f"{place}: {fault['msg']}" if place else str(fault["msg"])
        return PydanticCustomError(
            "no_alternative",
            "Input fits none of the {count} alternatives; the nearest says: {nearest}",
            {
                "count": len(faults),
                "nearest": nearest if len(nearest) <= _MOST_TEXT else f"{nearest[:_MOST_TEXT]}...",
            },
        )


def _fit(found: Any, given: Any) -> tuple[int, int]:
    """How well a value fits: a model more than a bare mapping, and more the fewer fields it does not know."""
    if isinstance(found, BaseModel):
        return 2, -len(found.model_extra or ())
    return (1 if type(found) is type(given) else 0), 0


def _title(kind: Any) -> str:
    deciding = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, _Deciding)), None)
    return deciding.title if deciding is not None else getattr(kind, "__name__", repr(kind))
