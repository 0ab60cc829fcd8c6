"""The pages in docs/ run, link to what is there, and speak of files and names that exist."""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

import rxorch
from tests.docs.pages import Block, Page, blocks_of, run_block, run_page
from tests.support.services import REDIS, needs

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
ARCHITECTURE = ROOT / "docs" / "architecture.md"

MOST_LEFT_OUT = 2
SHOWN_BY = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top that have a page of the site, and are linked themselves."""

_FENCED = re.compile(r"^(?P<fence>```+).*?^(?P=fence)\s*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
_FILE = re.compile(r"^[\w./-]+(?:\.(?:py|md|toml|ipynb)|/)$")
_PUBLIC = re.compile(r"^(?:from |import )?(rxorch(?:_operators)?(?:\.\w+)+)(?:\(.*)?$")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=ids)
async def test_the_examples_run_and_show_what_they_say(path: Path, example_api: str) -> None:
    async with servers_of(path):
        page = await run_page(path, example_api)

    assert not page.failures, "\n\n".join(page.failures)


@asynccontextmanager
async def servers_of(path: Path) -> AsyncIterator[None]:
    """What a page needs beside HTTP: that of brokers Redis, which keeps nothing of it."""
    if path.name != "brokers.md":
        yield
        return
    async with Redis.from_url(needs(REDIS)) as redis:
        await redis.delete("docs:orders")
        try:
            yield
        finally:
            await redis.delete("docs:orders")


def test_few_examples_are_left_out_and_each_has_a_reason() -> None:
    left_out = [(ids(path), block.reason) for path in PAGES for block in skipped(path)]
    assert len(left_out) <= MOST_LEFT_OUT, left_out
    assert all(reason for _, reason in left_out), left_out


def skipped(path: Path) -> Iterator[Block]:
    return (block for block in blocks_of(path.read_text()) if block.reason is not None)


def test_the_pages_show_something() -> None:
    counts = {ids(path): sum(1 for _ in blocks_of(path.read_text())) for path in PAGES}
    wanted = {"docs/getting_started.md": 8, "docs/modes.md": 8, "docs/policies.md": 6, "docs/errors.md": 4}
    assert {name: counts[name] for name in wanted if counts[name] < wanted[name]} == {}


def test_every_python_fence_is_found() -> None:
    for path in [ROOT / "README.md", *PAGES]:
        text = path.read_text()
        assert sum(1 for _ in blocks_of(text)) == len(re.findall(r"(?m)^\s*```python", text)), ids(path)


# Links


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in _HEADING.findall(path.read_text())}


def dead_links(path: Path) -> Iterator[str]:
    for target in _LINK.findall(_FENCED.sub("", path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = path if not file else (path.parent / file).resolve()
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert list(dead_links(path)) == []


def test_an_index_links_every_page() -> None:
    """That of the docs, that of the operators, that of the reference."""
    indices = [ROOT / "docs" / name for name in ("index.md", "operators.md", "api/index.md")]
    linked = {
        (path.parent / target).resolve() for path in indices for target in _LINK.findall(path.read_text())
    }
    linked |= {ROOT / "docs" / page for file, page in SHOWN_BY.items() if ROOT / file in linked}
    assert set(PAGES) - {indices[0]} - linked == set()


# Names


def code_words(path: Path) -> Iterator[str]:
    """What stands in backticks, outside of code blocks."""
    return (word.strip() for word in _CODE.findall(_FENCED.sub("", path.read_text())))


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module or can be reached through one by attributes."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for name in parts[count:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def unknown_names(path: Path) -> list[str]:
    named = (_PUBLIC.match(word) for word in code_words(path))
    return sorted({found[1] for found in named if found and not exists(found[1])})


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=ids)
def test_every_public_name_exists(path: Path) -> None:
    loggers = {"rxorch.requests"}
    assert set(unknown_names(path)) - loggers == set()


def test_every_class_of_ours_that_a_page_names_exists() -> None:
    """A word such as ``ApiFooError`` or ``FlowThing`` that no source file knows has been renamed."""
    sources = [*(ROOT / "rxorch").rglob("*.py"), *(ROOT / "operators").rglob("*.py")]
    known = set(re.findall(r"\w+", "\n".join(path.read_text() for path in sources)))
    for path in [ROOT / "README.md", *PAGES]:
        words = {word for word in code_words(path) if re.fullmatch(r"_?[A-Z][a-z]\w*|API\w+", word)}
        assert words - known == set(), ids(path)


def errors_of_the_tree() -> list[str]:
    exported = [(name, getattr(rxorch, name)) for name in rxorch.__all__]
    return [name for name, kind in exported if isinstance(kind, type) and issubclass(kind, rxorch.ApiError)]


def test_every_error_has_its_row_on_the_page() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    assert [name for name in errors_of_the_tree() if f"| `{name}` |" not in text] == ["ApiError"]


# The architecture


def missing_files(path: Path) -> list[str]:
    named = {word for word in code_words(path) if _FILE.match(word) and "/" in word}
    return sorted(word for word in named if not (ROOT / word).exists())


@pytest.mark.parametrize("path", [ARCHITECTURE, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=ids)
def test_every_file_that_is_named_exists(path: Path) -> None:
    named = [word for word in code_words(path) if _FILE.match(word) and "/" in word]
    assert path != ARCHITECTURE or len(named) >= 40
    shortened = {"endpoint/", "observe/"}
    assert [word for word in missing_files(path) if word not in shortened] == []


def test_every_file_of_the_library_has_its_line() -> None:
    """A new file is put on the map; the programs (cli and demo) are named by folder."""
    text = ARCHITECTURE.read_text()
    sources = [*(ROOT / "rxorch").rglob("*.py"), *(ROOT / "operators").rglob("*.py")]
    names = {ids(path) for path in sources if path.stem not in ("__init__", "__main__")}
    library = {name for name in names if not name.startswith(("rxorch/demo/", "rxorch/cli/"))}
    assert sorted(name for name in library if f"`{name}`" not in text) == []


def test_every_floor_is_on_the_map() -> None:
    text = ARCHITECTURE.read_text()
    packages = [path.parent for path in (ROOT / "rxorch").glob("*/__init__.py")]
    missing = [f"rxorch/{package.name}/" for package in packages if f"`rxorch/{package.name}/`" not in text]
    assert missing == []


# The checks can fail


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```python\nprint(1 + 1)\n```\n\n```text\n3\n```", "expected"),
        ("```python\n1 + 1  # -> 3\n```", "expected"),
        ("```python\nraise OSError('down')\n```", "OSError: down"),
        ("```python\nimport asyncio\nasync with asyncio.timeout(5):\n    7  # -> 8\n```", "expected"),
        ("```python\nprint(1 + 1)\n```\n\n```text\n2\n```", None),
        ("1. First:\n\n   ```python\n   1 + 1  # -> 2\n   ```", None),
    ],
)
async def test_a_wrong_example_is_noticed(text: str, wrong: str | None) -> None:
    page = Page()
    (block,) = blocks_of(text)
    await run_block(block, Path("page.md"), "http://nowhere", {}, page)
    assert bool(page.failures) == (wrong is not None)
    assert wrong is None or wrong in page.failures[0]


def test_a_block_can_be_left_out() -> None:
    (block,) = blocks_of("<!-- no-run: needs a database -->\n```python\n1 / 0\n```")
    assert block.reason == "needs a database"


def test_a_wrong_name_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A b\n`rxorch.Nothing`, `rxorch.ApiClient`, `rxorch/nothing.py` [a](#a-b) [b](#c) [c](none.md)\n"
        "```python\n# [d](none.md) `rxorch.Nothing2`\n```\n"
    )
    assert unknown_names(page) == ["rxorch.Nothing"]
    assert missing_files(page) == ["rxorch/nothing.py"]
    assert list(dead_links(page)) == ["#c", "none.md"]
