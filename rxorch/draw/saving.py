"""Pictures in files."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from rxorch.draw.png import png_of
from rxorch.draw.svg_parts import least_width
from rxorch.errors import ApiConfigurationError

__all__ = ["Forms", "SavedPage", "SavedPicture", "forms_of", "page_of", "save_as"]

Forms: TypeAlias = dict[str, Callable[[], str | bytes]]
"""What makes the content of a file, by its suffix."""

_DARK_PAGE: Final = "@media (prefers-color-scheme:dark){body{background:#0d1117;color:#f0f6fc}}"


def forms_of(title: str, svg: Callable[[], str], text: Callable[[], str]) -> Forms:
    """The forms that every picture has: `.svg`, `.png` (which needs the extra `png`), `.html` and `.txt`."""

    def page() -> str:
        return page_of(
            title, svg(), f"<details><summary>as text</summary><pre>{html.escape(text())}</pre></details>"
        )

    return {".svg": svg, ".png": lambda: png_of(svg()), ".html": page, ".txt": lambda: f"{text()}\n"}


def page_of(title: str, svg: str, details: str) -> str:
    """A page of its own for a picture: light or dark as the reader's system is.

    Args:
        title: Plain text.
        svg: The picture.
        details: HTML below it.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>\n"
        "<style>body{font:14px system-ui,sans-serif;max-width:1000px;margin:24px auto;padding:0 12px}"
        f"div{{overflow-x:auto}}svg{{max-width:100%;min-width:{least_width(svg)}px;height:auto}}"
        f"@media print{{svg{{min-width:0}}}}th{{text-align:left}}{_DARK_PAGE}</style></head>\n<body>\n"
        f"<div>{svg}</div>{details}\n</body>\n</html>\n"
    )


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


class SavedPicture(ABC):
    """A picture that can be written into a file."""

    @abstractmethod
    def _forms(self) -> Forms:
        """What makes the content of a file, by its suffix."""

    def save(self, path: str | Path) -> Path:
        """Write the picture into a file; what kind is told by the suffix.

        Args:
            path: Of a file that ends in `.svg`, `.png` (which needs the extra `png`), `.html` or `.txt`; of a
                flow also in `.mmd` or `.dot`. One that is there is replaced.

        Returns:
            The path.

        Raises:
            ApiConfigurationError: another suffix; a PNG without resvg-py.
            OSError: the file cannot be written.
        """
        return save_as(path, self._forms())


class SavedPage(ABC):
    """A page that can be written into a file."""

    @abstractmethod
    def html(self) -> str:
        """The page."""

    def save(self, path: str | Path) -> Path:
        """Write the page into a file.

        Args:
            path: Of a file that ends in `.html`. One that is there is replaced.

        Returns:
            The path.

        Raises:
            ApiConfigurationError: another suffix.
            OSError: the file cannot be written.
        """
        return save_as(path, {".html": self.html, ".htm": self.html})
