"""Pictures as PNG, without a browser."""

from __future__ import annotations

import importlib
import re
from typing import Final

from rxorch.errors import ApiConfigurationError

__all__ = ["png_of"]

_DARK: Final = re.compile(r"@media \(prefers-color-scheme: dark\) \{\n.*?\n\}", re.DOTALL)
"""The colours of the dark, which resvg does not leave out by itself."""


def png_of(svg: str, *, zoom: int = 2) -> bytes:
    """An SVG as PNG, in its light colours.

    Args:
        svg: A whole one.
        zoom: Pixels of the PNG for each of the SVG.

    Raises:
        ApiConfigurationError: resvg-py is not installed.
    """
    try:
        resvg = importlib.import_module("resvg_py")
    except ImportError:
        raise ApiConfigurationError(
            "a PNG needs resvg-py: pip install 'rxorch[png]', or save the picture as .svg"
        ) from None
    return bytes(resvg.svg_to_bytes(svg_string=_DARK.sub("", svg), zoom=zoom))
