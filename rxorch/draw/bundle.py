"""The forms of a picture or a card that a notebook chooses from."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Mapping
from typing import Any

from rxorch.draw.svg_parts import least_width

__all__ = ["chosen_forms", "image_of", "mime_bundle"]


def mime_bundle(
    title: str,
    text: str,
    svg: str,
    include: Collection[str] | None,
    exclude: Collection[str] | None,
    *,
    details: str = "",
) -> dict[str, Any]:
    """What `_repr_mimebundle_` gives of a picture.

    Args:
        title: Its name.
        text: It as text.
        svg: It as SVG.
        include: Kinds that are wanted; None for all.
        exclude: Kinds that are not.
        details: HTML that stands below it; the text, by default.
    """
    details = details or f"<details><summary>as text</summary><pre>{html.escape(text)}</pre></details>"
    forms = {
        "text/plain": text,
        "text/html": f"{image_of(title, svg)}{details}",
        "image/svg+xml": svg,
    }
    return chosen_forms(forms, include, exclude)


def image_of(title: str, svg: str) -> str:
    """A picture in HTML. A notebook that is not trusted shows neither SVG nor styles, but this.

    It is never larger than it is. Where there is no room for it, it becomes smaller, but not so that nobody
    can read it: then it scrolls sideways in a box of its own.
    """
    image = base64.b64encode(svg.encode()).decode()
    style = f"max-width:100%;min-width:{least_width(svg)}px"
    return (
        f'<div style="overflow-x:auto"><img alt="{html.escape(title)}" style="{style}" '
        f'src="data:image/svg+xml;base64,{image}"/></div>'
    )


def chosen_forms(
    forms: Mapping[str, Any], include: Collection[str] | None, exclude: Collection[str] | None
) -> dict[str, Any]:
    """Those forms that are wanted."""
    return {
        kind: form
        for kind, form in forms.items()
        if (not include or kind in include) and kind not in (exclude or ())
    }
