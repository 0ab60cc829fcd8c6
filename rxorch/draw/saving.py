"""Pictures in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rxorch.errors import ApiConfigurationError

__all__ = ["save_as"]


def save_as(path: str | Path, forms: Mapping[str, Callable[[], str]]) -> Path:
    """Write a picture into a file, as UTF-8.

    Args:
        path: Of the file; one that is there is replaced.
        forms: What makes the text, by the suffix of the file.

    Raises:
        ApiConfigurationError: another suffix.
        OSError: the file cannot be written.
    """
    path = Path(path)
    form = forms.get(path.suffix.lower())
    if form is None:
        raise ApiConfigurationError(
            f"path: its suffix {path.suffix!r} says no kind of picture; there are {', '.join(forms)}"
        )
    path.write_text(form(), encoding="utf-8", newline="\n")
    return path
