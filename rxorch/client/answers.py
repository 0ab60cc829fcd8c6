"""The readers of answers: one for each ``response_key`` and ``model`` that is asked for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, get_args, get_origin

from pydantic import TypeAdapter

from rxorch.endpoint.reading import AnswerReader
from rxorch.errors import ApiConfigurationError
from rxorch.http.response import Response

__all__ = ["Readers", "whole_answer"]

_MAX_READERS: Final = 256


class Readers:
    """Readers that were made before, those used last. A reader keeps its model alive, so they are not many.

    Example:
        >>> readers = Readers()
        >>> readers.get("user", "data", int | None) is readers.get("user", "data", int | None)
        True
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, AnswerReader] = OrderedDict()

    def get(self, name: str, response_key: str | None, model: Any) -> AnswerReader:
        """The reader for what a request asks.

        Args:
            name: what errors call it.
            response_key: a dotted path or JMESPath.
            model: pydantic type.

        Raises:
            ApiConfigurationError: no path, or a type that pydantic cannot validate against.
        """
        if response_key is not None and not isinstance(response_key, str):
            raise ApiConfigurationError(
                f"response_key: give a dotted path or JMESPath as text; not {type(response_key).__name__}"
            )
        key = (name, response_key, model if isinstance(model, type) else (model, _order_of(model)))
        try:
            reader = self._kept.get(key)
        except TypeError:  # a type that cannot be hashed
            return _made(name, response_key, model)
        if reader is None:
            reader = self._kept[key] = _made(name, response_key, model)
            if len(self._kept) > _MAX_READERS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return reader

    def __len__(self) -> int:
        return len(self._kept)


def whole_answer(name: str) -> AnswerReader:
    """The reader that leaves an answer as it is."""
    return AnswerReader(name, parser=_itself)


def _itself(response: Response) -> Response:
    return response


def _order_of(model: Any) -> Any:
    """The parts of a type in their order: ``A | B`` equals ``B | A``, and yet validates otherwise."""
    parts = get_args(model)
    return (get_origin(model), tuple(map(_order_of, parts))) if parts else model


def _made(name: str, response_key: str | None, model: Any) -> AnswerReader:
    return AnswerReader(name, response_key=response_key, adapter=None if model is None else _adapter(model))


def _adapter(model: Any) -> TypeAdapter[Any]:
    reason = "as text it says nothing of where its names are; give the type itself"
    if not isinstance(model, str | bytes):
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(model)
            if adapter.pydantic_complete is True:
                return adapter
            reason = "a name in it is not known; give types, not their names"
        except Exception as error:  # pydantic has several errors for this
            reason = str(getattr(error, "code", None) or type(error).__name__)
    raise ApiConfigurationError(f"model: pydantic cannot validate against it ({reason})")
