"""Tables as data frames of pandas or polars, whichever is installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from rxorch.errors import ApiConfigurationError

__all__ = ["FrameLibrary", "frame_of"]

FrameLibrary: TypeAlias = Literal["pandas", "polars"]

_LIBRARIES: Final = ("pandas", "polars")


def frame_of(columns: Mapping[str, Sequence[Any]], library: FrameLibrary | None = None) -> Any:
    """The `DataFrame` of these columns.

    Args:
        columns: Names to values, all of the same length.
        library: "pandas" or "polars"; by default the first of them that is installed.

    Raises:
        ApiConfigurationError: it is another, or is not installed; or neither is.
    """
    if library is not None and library not in _LIBRARIES:
        raise ApiConfigurationError(f"library: give 'pandas', 'polars' or None, not {library!r}")
    for name in _LIBRARIES if library is None else (library,):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.DataFrame(dict(columns))
    missing = "neither pandas nor polars is" if library is None else f"{library} is not"
    raise ApiConfigurationError(f"a data frame: {missing} installed; pip install {library or 'pandas'}")
