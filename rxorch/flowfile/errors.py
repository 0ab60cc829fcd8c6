"""FlowFileError: what is wrong in a flow file, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rxorch.errors import ApiConfigurationError

__all__ = ["FlowFileError", "Problem"]

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a flow file.

    Attributes:
        line: From 1.
        column: From 1.
        place: Path of the value: `endpoints[1].retry_count`; "" for the file itself.
        message: What is wrong.
    """

    line: int
    column: int
    place: str
    message: str

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{self.line}:{self.column}: {where}{self.message}"


class FlowFileError(ApiConfigurationError):
    """A flow file cannot be used; the message has a line for each thing that is wrong.

    Args:
        name: Of the file.
        problems: What is wrong, in the order of the file.
    """

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        lines = [f"{name}:{problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"{name}: and {len(self.problems) - _SHOWN} more")
        super().__init__("\n".join(lines))
        self.name = name

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[FlowFileError], tuple[str, tuple[Problem, ...]]]:
        return type(self), (self.name, self.problems)
