"""The site is made without a warning, has every public name, and needs nothing from elsewhere."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from tests.docs.pages import blocks_of
from tests.docs.test_docs import PAGES

ROOT = Path(__file__).parents[2]

HANDED_OUT = {"rxorch.operators", "rxorch.observe", "rxorch.stream"}
"""Modules that nobody needs to import from, for what they have comes from others."""

_IMPORTED = re.compile(r"(?m)^\s*from (rxorch\w*(?:\.[a-z]\w*)*) import")
_FETCHED = re.compile(r"(?:url\(|@import)\s*['\"]?\s*(?:https?:)?//")


class Links(HTMLParser):
    """What a page of HTML leads to, what it loads, and the names of its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.places |= {place for name in ("id", "name") if (place := found.get(name))}
        for name in ("href", "src"):
            if target := found.get(name):
                self.targets.append(target)
                if tag != "a":
                    self.loaded.append(target)


# What must hold


def test_the_site_is_whole(tmp_path: Path) -> None:
    """One test, because the site is made once."""
    site = tmp_path / "html"
    done = subprocess.run(
        [sys.executable, *_dev().SITE[:-1], str(tmp_path / "doctrees"), "docs", str(site)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert missing_names(inventory(site / "objects.inv"), public_modules()) == []
    pages = {path: Links(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) >= len(PAGES)
    assert list(dead_links(pages)) == []
    assert list(loaded_from_elsewhere(site, pages)) == []


def _dev() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public_modules() -> set[str]:
    """Those that the examples of the pages import from."""
    texts = [block.code for path in [ROOT / "README.md", *PAGES] for block in blocks_of(path.read_text())]
    return {name for text in texts for name in _IMPORTED.findall(text)} | HANDED_OUT


def inventory(path: Path) -> set[str]:
    """The names of Python objects in an ``objects.inv``: four lines of text, then compressed ones."""
    entries = zlib.decompress(path.read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    return {entry.split(" ")[0] for entry in entries if " py:" in entry}


def missing_names(known: set[str], modules: set[str]) -> list[str]:
    """Public modules, and names in their ``__all__``, without an entry."""
    names = {f"{module}.{name}" for module in modules for name in importlib.import_module(module).__all__}
    return sorted((modules | names) - known)


def dead_links(pages: dict[Path, Links]) -> Iterator[tuple[str, str]]:
    """Links between pages, and to places in them, that lead nowhere."""
    for path, links in pages.items():
        for target in links.targets:
            if re.match(r"[a-z]+:|//", target):
                continue
            file, _, place = unquote(target).partition("#")
            there = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not there.exists() or (place and there in pages and place not in pages[there].places):
                yield path.name, target


def loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> Iterator[tuple[str, str]]:
    """What a browser would fetch from another host."""
    for path, links in pages.items():
        yield from ((path.name, target) for target in links.loaded if re.match(r"(https?:)?//", target))
    for path in site.rglob("*.css"):
        yield from ((path.name, found) for found in _FETCHED.findall(path.read_text()))


# The checks can fail


def test_a_missing_name_is_noticed() -> None:
    assert missing_names({"rxorch.testing", "rxorch.testing.MockTransport"}, {"rxorch.testing"}) == [
        "rxorch.testing.MockRequest"
    ]


@pytest.mark.parametrize(
    ("html", "dead", "fetched"),
    [
        ('<a href="b.html#there">b</a><p id="here"><a href="#here">a</a>', [], []),
        ('<a href="b.html#gone">b</a>', [("a.html", "b.html#gone")], []),
        ('<a href="none.html">b</a>', [("a.html", "none.html")], []),
        ('<a href="https://api.example.com">b</a>', [], []),
        ('<img src="//cdn/x.png">', [], [("a.html", "//cdn/x.png")]),
        ('<link href="https://cdn/x.css">', [], [("a.html", "https://cdn/x.css")]),
    ],
)
def test_a_wrong_link_is_noticed(
    tmp_path: Path, html: str, dead: list[tuple[str, str]], fetched: list[tuple[str, str]]
) -> None:
    (tmp_path / "a.html").write_text(html)
    (tmp_path / "b.html").write_text('<p id="there">')
    pages = {path: Links(path.read_text()) for path in tmp_path.glob("*.html")}
    assert list(dead_links(pages)) == dead
    assert list(loaded_from_elsewhere(tmp_path, pages)) == fetched


def test_a_style_that_is_fetched_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text(
        "a{background:url('https://cdn/x.png')} b{src:url(x.woff)} @import '//cdn/y'"
    )
    assert len(list(loaded_from_elsewhere(tmp_path, {}))) == 2
