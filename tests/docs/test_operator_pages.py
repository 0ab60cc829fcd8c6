"""The pages of the operators: one for each, in one order of sections, with the defaults of the code.

That their examples run and that public names exist is checked in ``test_docs.py``, as for every page.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rxorch_operators
from tests.docs.test_docs import dead_links

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "operators"
PAGES = sorted(FOLDER.glob("*.md"))

SECTIONS = ["Use", "Defaults", "What it promises", "Do", "Don't", "When to choose another"]
LISTS = ["What it promises", "Do", "Don't", "When to choose another"]
NOTHING_TO_DRAW = {"from_async", "guard", "policy"}
ON_THE_PAGE_OF = {"last_of": "to_async_iterable"}

_FENCED = re.compile(r"^```(\w*)\n.*?^```[ ]*$", re.DOTALL | re.MULTILINE)
_CELLS = re.compile(r"(?<!\\)\|")
_NAMES = re.compile(r"`\*{0,2}(\w+)`")
_CALLABLE = re.compile(r"Callable\[")


# Reading a page


def sections(text: str) -> dict[str, str]:
    """The text below each ``##`` heading; what stands before the first one is under the empty name."""
    hidden = _FENCED.sub(lambda found: re.sub(r"(?m)^#", "\N{FULLWIDTH NUMBER SIGN}", found[0]), text)
    first, *others = re.split(r"(?m)^## +(.+?) *$", hidden)
    return {"": first, **dict(zip(others[::2], others[1::2], strict=True))}


def fences(text: str) -> list[str]:
    """The languages of the code blocks."""
    return [found[1] for found in _FENCED.finditer(text)]


def rows(text: str) -> Iterator[tuple[str, str]]:
    """Name and default of each parameter that has a row in a table; a name may have several rows."""
    for line in _FENCED.sub("", text).splitlines():
        if line.startswith("|"):
            first, default, *_ = [*(cell.strip() for cell in _CELLS.split(line)[1:]), "", ""]
            yield from ((name, default) for name in _NAMES.findall(first))


# What is wrong with it


def wrong_shape(name: str, text: str) -> Iterator[str]:
    """Sections that are missing, empty or in another order."""
    parts = sections(text)
    title, intro = (f"{parts['']}\n".split("\n", 1)[0], _FENCED.sub("", parts[""]).split("\n", 1)[-1])
    if title != f"# {name}":
        yield f"the title is {title!r}"
    if not intro.strip():
        yield "no sentence says what it does"
    if name not in NOTHING_TO_DRAW and "text" not in fences(parts[""]):
        yield "no marble diagram before the first section"
    if [heading for heading in parts if heading in SECTIONS] != SECTIONS:
        yield f"the sections are {', '.join(heading for heading in parts if heading)}"
    if "python" not in fences(parts.get("Use", "")):
        yield "no example"
    for heading in LISTS:
        if not re.search(r"(?m)^- \S", parts.get(heading, "")):
            yield f"no list under {heading!r}"


def spellings(default: object) -> set[str]:
    """How a page may write a default."""
    written = {repr(default), str(default)}
    if isinstance(default, float):
        written.add(f"{default:g}")
    if isinstance(default, enum.Enum):
        written.add(default.name)
    if isinstance(default, type) or inspect.isroutine(default):
        written.add(default.__name__)
    elif type(default).__module__.startswith("rxorch_operators"):
        written.add(f"{type(default).__name__}()")
    return written


def is_stated(default: object, cell: str) -> bool:
    return any(re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.])", cell) for one in spellings(default))


def wrong_defaults(function: Callable[..., Any], text: str) -> Iterator[str]:
    """Parameters without a row, or whose rows all tell another default."""
    told = list(rows(sections(text).get("Defaults", "")))
    for parameter in inspect.signature(function).parameters.values():
        cells = [cell for name, cell in told if name == parameter.name]
        default = parameter.default
        if not cells:
            yield f"no row for {parameter.name}"
        elif default is inspect.Parameter.empty or repr(default) == "<factory>":
            continue
        elif not any(is_stated(default, cell) for cell in cells):
            yield f"{parameter.name} is {default!r}, the page says {' and '.join(cells)}"


def faults(path: Path, function: Callable[..., Any]) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [
        *wrong_shape(path.stem, text),
        *wrong_defaults(function, text),
        *(f"dead link {target}" for target in dead_links(path)),
    ]


# The code


def operators() -> list[str]:
    """The functions of the package."""
    found = [name for name in rxorch_operators.__all__ if name.islower()]
    return [name for name in found if callable(getattr(rxorch_operators, name))]


def taken(function: Callable[..., Any]) -> Iterator[type[Any]]:
    """The classes of the package that one has to make an object of to call this: policies, shared state."""
    for parameter in inspect.signature(function).parameters.values():
        annotation = str(parameter.annotation)
        words = [] if _CALLABLE.search(annotation) else re.findall(r"\w+", annotation)
        for word in words:
            kind = getattr(rxorch_operators, word, None) if word in rxorch_operators.__all__ else None
            if isinstance(kind, type) and not issubclass(kind, enum.Enum):
                yield kind
                yield from taken(kind)


def takers() -> dict[type[Any], set[str]]:
    """For each of those classes the operators that take it."""
    found: dict[type[Any], set[str]] = {}
    for name in operators():
        for kind in taken(getattr(rxorch_operators, name)):
            found.setdefault(kind, set()).add(name)
    return found


# The tests


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_is_complete(path: Path) -> None:
    assert path.stem in operators(), f"rxorch_operators exports no function {path.stem}"
    assert faults(path, getattr(rxorch_operators, path.stem)) == []


def test_every_operator_has_a_page() -> None:
    pages = {path.stem for path in PAGES}
    assert len(pages) >= 10
    assert [name for name in operators() if ON_THE_PAGE_OF.get(name, name) not in pages] == []


@pytest.mark.parametrize("name", ON_THE_PAGE_OF)
def test_what_lives_on_the_page_of_another_has_its_rows(name: str) -> None:
    text = (FOLDER / f"{ON_THE_PAGE_OF[name]}.md").read_text()
    assert f"`{name}`" in sections(text)[""]
    assert list(wrong_defaults(getattr(rxorch_operators, name), text)) == []


@pytest.mark.parametrize("kind", takers(), ids=lambda kind: kind.__name__)
def test_what_an_operator_takes_has_its_rows_on_a_page(kind: type[Any]) -> None:
    """A policy or shared object is described in full on the page of one of the operators that take it."""
    pages = [path for path in PAGES if path.stem in takers()[kind]]
    wrong = {path.stem: list(wrong_defaults(kind, path.read_text())) for path in pages}
    assert any(not missing for missing in wrong.values()), wrong


def test_policies_and_shared_objects_are_found() -> None:
    found = {kind.__name__: names for kind, names in takers().items()}
    assert "retry_backoff" in found["RetryPolicy"]
    assert "circuit_breaker" in found["CircuitPolicy"]
    assert {"Bulkhead", "Coalescer", "RateLimiter", "RetryBudget", "TtlCache"} <= set(found)
    assert not {"RetryEvent", "CircuitChange"} & set(found)


# The checks can fail


def sample(
    policy: None, *names: str, limit: float = 2.0, kind: str = "full", when: type = OSError, **settings: int
) -> None:
    """What the page below is about."""


GOOD = """\
# sample

What it does.

```text
source   a|
```

## Use

```python
# a comment
```

## Defaults

| parameter | default | meaning |
| --- | --- | --- |
| `policy` | required | a \\| b |
| `*names`, `**settings` | none | |
| `limit` | `2.0` | seconds |
| `kind` | `full` | |
| `when` | `OSError` | |

### More

## What it promises

- Something.

## Do

- This.

## Don't

- That.

## When to choose another

- [Here](sample.md).
"""


def faults_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "sample.md"
    path.write_text(text)
    return faults(path, sample)


def test_a_good_page_passes(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD) == []
    assert faults_of(tmp_path, GOOD.replace("`2.0`", "2 s").replace("`full`", '`"full"`')) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# sample", "# simple", "the title is '# simple'"),
        ("What it does.", "", "no sentence says what it does"),
        ("```text\nsource   a|\n```\n", "", "no marble diagram before the first section"),
        ("```python\n# a comment\n```", "Nothing.", "no example"),
        ("## Do\n", "## Does\n", "no list under 'Do'"),
        ("- That.", "That.", 'no list under "Don\'t"'),
        ("| `limit` | `2.0` | seconds |\n", "", "no row for limit"),
        ("`*names`, ", "", "no row for names"),
        ("`2.0`", "`2.5`", "limit is 2.0, the page says `2.5`"),
        ("`2.0`", "`12.0`", "limit is 2.0, the page says `12.0`"),
        ("`full`", "`None`", "kind is 'full', the page says `None`"),
        ("`OSError`", "`Exception`", "when is <class 'OSError'>, the page says `Exception`"),
        ("(sample.md)", "(simple.md)", "dead link simple.md"),
    ],
)
def test_a_fault_is_noticed(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    assert fault in faults_of(tmp_path, GOOD.replace(old, new, 1))


def test_another_order_is_noticed(tmp_path: Path) -> None:
    parts = re.split(r"(?m)^(?=## )", GOOD)
    turned = "".join([*parts[:4], parts[5], parts[4], parts[6]])
    (fault,) = faults_of(tmp_path, turned)
    assert fault.startswith("the sections are Use, Defaults, What it promises, Don't, Do")


def test_a_heading_in_a_code_block_is_none() -> None:
    assert list(sections("# a\n```python\n## Use\n```\n## Do\n")) == ["", "Do"]
