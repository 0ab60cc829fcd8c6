"""The forms of a picture that a notebook chooses from."""

from __future__ import annotations

import base64
import html
from collections.abc import Collection
from typing import Any

__all__ = ["mime_bundle"]


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
    # A notebook that is not trusted shows neither SVG nor styles, but an image in HTML.
    image = base64.b64encode(svg.encode()).decode()
    details = details or f"<details><summary>as text</summary><pre>{html.escape(text)}</pre></details>"
    forms = {
        "text/plain": text,
        "text/html": (
            f'<img alt="{html.escape(title)}" style="max-width:100%" '
            f'src="data:image/svg+xml;base64,{image}"/>{details}'
        ),
        "image/svg+xml": svg,
    }
    return {
        kind: form
        for kind, form in forms.items()
        if (not include or kind in include) and kind not in (exclude or ())
    }
