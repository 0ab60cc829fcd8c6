"""What became of one element: its value or its error, as a value to go on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, NoReturn, TypeAlias, TypeVar

__all__ = ["Failure", "Result", "Success"]

A = TypeVar("A", covariant=True)
B = TypeVar("B", covariant=True)


@dataclass(frozen=True, slots=True)
class Success(Generic[A, B]):
    """One element led to this value.

    Args:
        value: What came of it.
        input: The element.

    Attributes:
        ok: True. `match`, `isinstance` and `if result.ok is True:` tell type checkers too what it is.

    Example:
        >>> result = Success(value=49, input=7)
        >>> result.ok, result.unwrap()
        (True, 49)
    """

    value: B
    input: A
    ok: ClassVar[Literal[True]] = True

    def unwrap(self) -> B:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Failure(Generic[A]):
    """One element led to this error.

    Args:
        error: What went wrong.
        input: The element.

    Attributes:
        ok: False.

    Example:
        >>> match Failure(error=OSError("reset"), input=7):
        ...     case Success(value):
        ...         print(value)
        ...     case Failure(error, number):
        ...         print(number, error)
        7 reset
    """

    error: Exception
    input: A
    ok: ClassVar[Literal[False]] = False

    def unwrap(self) -> NoReturn:
        """Raises the error."""
        raise self.error


Result: TypeAlias = Success[A, B] | Failure[A]
"""Either of them, for annotations: `Result[int, str]` is what came of an `int`, a `str` if it went well."""
