"""Every example of the README runs and shows what it says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import blocks_of, run_page

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"

MOST_LINES = 220


async def test_the_examples_run_and_show_what_they_say(example_api: str) -> None:
    page = await run_page(README, example_api)

    assert not page.failures, "\n\n".join(page.failures)
    assert page.ran >= 4
    assert page.checked >= 4


def test_no_example_is_left_out() -> None:
    assert [block.line for block in blocks_of(README.read_text()) if block.reason is not None] == []


def test_it_is_read_in_a_minute() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_it_names_the_two_commands() -> None:
    text = README.read_text()
    assert "python3 dev.py demo" in text
    assert "python3 dev.py test" in text


def test_the_sample_of_the_demo_has_its_words() -> None:
    sample = README.read_text().partition("## What the demo shows")[2].partition("```console\n")[2]
    lines = sample.partition("```")[0].splitlines()
    words = [line for line in lines if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*", line)]
    words += [found[1] for line in lines if (found := re.match(r"  (?:✓  )?([a-z][a-z ,;:]+?)  ", line))]
    demo = "\n".join(path.read_text() for path in (ROOT / "rxorch" / "demo").rglob("*.py"))
    assert len(words) >= 8
    assert [word for word in words if word not in demo] == []
