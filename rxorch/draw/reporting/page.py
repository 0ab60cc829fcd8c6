"""The page around a report: its style, its sections, pictures in it. No script, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rxorch.draw.cards_html import Html, joined, markup, styled
from rxorch.draw.results import PALETTE as RESULTS
from rxorch.draw.svg_parts import least_width
from rxorch.draw.theme import DARK, LIGHT, SANS, Palette, style_sheet
from rxorch.draw.timeline.look import PALETTE as TIMELINE

__all__ = ["Figure", "Verdict", "figures", "page_of", "picture", "section", "wide_table"]

Figure = tuple[str, str, str]
"""A number, what it counts, and the class of its colour or nothing."""
Verdict = tuple[str, str, str]
"""A sign, the class of its colour, and words."""

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)
_ALL: Final = Palette(
    {**TIMELINE.light, **RESULTS.light},
    {**TIMELINE.dark, **RESULTS.dark},
    {**TIMELINE.fills, **RESULTS.fills},
)
_STYLE: Final = re.compile(r"<style>.*?</style>\n?", re.DOTALL)
_ID: Final = re.compile(r'( id="| aria-labelledby="|="url\(#)([\w-]+)')

_LAYOUT: Final = f"""
:root{{color-scheme:light dark}}
body{{font:14px/1.5 {SANS};max-width:1240px;margin:0 auto;padding:28px 20px 60px}}
h1{{font-size:22px;margin:0}}h2{{font-size:16px;margin:34px 0 8px}}
h3{{font-size:13px;margin:14px 0 4px}}
.verdict{{font-size:16px;margin:6px 0 18px}}
.figures{{display:flex;flex-wrap:wrap;gap:10px;padding:0;margin:0 0 8px}}
.figures>div{{border:1px solid;border-radius:8px;padding:8px 16px 7px;min-width:74px}}
.figures b{{display:block;font-size:20px;line-height:1.25}}
.figures span,.note{{font-size:12px}}
.picture{{overflow-x:auto;margin:6px 0}}
.picture svg{{max-width:100%;height:auto;display:block}}
.scroll{{overflow-x:auto}}
table{{font-variant-numeric:tabular-nums}}
summary{{cursor:pointer;padding:3px 0}}
@media print{{body{{max-width:none;padding:0}}section,.picture{{break-inside:avoid}}
svg{{min-width:0!important}}details::details-content{{content-visibility:visible;height:auto}}}}
"""


def page_of(title: str, verdict: Verdict, parts: Iterable[object], below: object) -> str:
    """The whole page.

    Args:
        title: Its name.
        verdict: How it went, in a line.
        parts: Sections.
        below: What stands at its end.
    """
    sign, kind, words = verdict
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{markup(title)}</title>\n<style>{_LAYOUT}{_colours()}</style>\n</head>\n<body>\n"
        f'<h1>{markup(title)}</h1>\n<p class="verdict"><b class="is-{kind}">{sign}</b> {markup(words)}</p>\n'
        f'{joined(parts)}<p class="note">{markup(below)}</p>\n</body>\n</html>\n'
    )


def _colours() -> str:
    light, dark = _page_colours(LIGHT, 0), _page_colours(DARK, 1)
    return f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}\n{style_sheet(_ALL)}\n"


def _page_colours(colours: Mapping[str, str], scheme: int) -> str:
    palette = (_ALL.light, _ALL.dark)[scheme]
    rules = [
        f"body{{background:{colours['paper']};color:{colours['ink']}}}",
        f".note,.figures span{{color:{colours['muted']}}}",
        f".figures>div{{border-color:{colours['frame-edge']};background:{colours['frame']}}}",
        *(f".is-{kind}{{color:{palette[f'r-{kind}']}}}" for kind in ("ok", "failed", "degraded")),
    ]
    return "".join(rules)


def section(heading: str, *parts: object) -> Html:
    """Parts below a heading; nothing where there are none."""
    body = joined(parts)
    return Html(f"<section>\n<h2>{markup(heading)}</h2>\n{body}\n</section>\n") if body else Html("")


def figures(numbers: Sequence[Figure]) -> Html:
    """Numbers side by side."""
    tiles = joined(
        Html(f"<div><b{_class(kind)}>{markup(number)}</b><span>{markup(word)}</span></div>")
        for number, word, kind in numbers
    )
    return Html(f'<div class="figures">{tiles}</div>\n')


def picture(svg: str, name: str) -> Html:
    """A picture within the page.

    Args:
        svg: A whole one. Its colours are those of the page.
        name: By which its ids differ from those of others.
    """
    inner = _ID.sub(lambda found: f"{found[1]}{name}-{found[2]}", _STYLE.sub("", svg, count=1))
    inner = inner.replace("<svg", f'<svg style="min-width:{least_width(svg)}px"', 1)
    return Html(f'<div class="picture">{inner}</div>\n')


def wide_table(table: Html) -> Html:
    """A table that scrolls where there is no room for it."""
    return styled("overflow-x:auto", table, tag="div")


def _class(kind: str) -> str:
    return f' class="is-{kind}"' if kind else ""
