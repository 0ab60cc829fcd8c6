"""Pictures in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rxorch.errors import ApiConfigurationError

__all__ = ["save_as"]


def save_as(path: str | Path, forms: Mapping[str, Callable[[], str | bytes]]) -> Path:
    """Write a picture into a file; text as UTF-8.

    Args:
        path: Of the file; one that is there is replaced.
        forms: What makes its content, by the suffix of the file.

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
    content = form()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
