"""Files, folders, standard input and pipes as sources."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rxorch import ApiConfigurationError, ApiValidationError
from rxorch import operators as rxo
from rxorch.sources import BadInput, csv, jsonl, lines

ROOT = Path(__file__).parents[2]


async def everything(source: AsyncIterable[Any]) -> list[Any]:
    return [value async for value in source]


def readable(values: list[Any]) -> list[Any]:
    """Bad inputs as their line and what is wrong."""
    return [
        (value.line, str(value.error).partition(": ")[2]) if isinstance(value, BadInput) else value
        for value in values
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "in.jsonl"


# -- JSON lines ----------------------------------------------------------------------------------------


async def test_one_value_a_line(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\r\n\n  \n[2, "\xc3\xa9"]\nnull\n"last"')
    assert await everything(jsonl(path)) == [{"id": 1}, [2, "é"], None, "last"]


async def test_a_line_that_cannot_be_used_is_told_with_its_number_and_without_its_content(path: Path) -> None:
    path.write_bytes(b'1\n{"secret": \n\xff\xfe\n[NaN]\n' + b'"' + b"x" * 100 + b'"\n2\n{"a"')
    found = await everything(jsonl(path, max_line=50))
    assert [value.line if isinstance(value, BadInput) else value for value in found] == [1, 2, 3, 4, 5, 2, 7]
    assert readable(found)[4] == (5, "it is longer than 50 bytes")
    assert all(
        "secret" not in str(value) + str(value.error) for value in found if isinstance(value, BadInput)
    )
    assert str(found[1]) == f"{path}:2" and found[1].source == str(path)


async def test_or_it_ends_the_source(path: Path) -> None:
    path.write_text("1\n{\n2\n")
    seen = []
    with pytest.raises(ApiValidationError, match=r"in.jsonl, line 2: it is no JSON"):
        async for value in jsonl(path, on_bad="raise"):
            seen.append(value)  # noqa: PERF401 - an error follows
    assert seen == [1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(json_values))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_json_writes_comes_back(path: Path, values: list[Any]) -> None:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
    assert asyncio.run(everything(jsonl(path))) == values


@given(st.binary(max_size=300), st.sampled_from([jsonl, lines, csv]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_bytes_make_it_fail(path: Path, content: bytes, source: Any) -> None:
    path.write_bytes(content)
    try:
        found = asyncio.run(everything(source(path, max_line=40)))
    except ApiConfigurationError:  # a header that is none
        assert source is csv
        return
    count = content.count(b"\n") + 1
    assert len(found) <= count + 1
    assert all(1 <= value.line <= count for value in found if isinstance(value, BadInput) and value.line)


async def test_text_lines(path: Path) -> None:
    path.write_bytes(b"Ada\r\n\nGrace\n\xff\n")
    assert readable(await everything(lines(path))) == ["Ada", "Grace", (4, "it is no UTF-8")]


# -- compressed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.jsonl"])
async def test_gzip_is_known_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    numbers = list(range(100_000))
    text = b"".join(b"%d\n" % n for n in numbers)
    path.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]) + b"\0" * 100)
    assert await everything(jsonl(path)) == numbers


async def test_a_compressed_file_that_is_cut_off_keeps_what_it_has(path: Path) -> None:
    whole = gzip.compress(b"".join(b"%d\n" % n for n in range(200_000)))
    path.write_bytes(whole[: len(whole) // 2])
    found = await everything(jsonl(path))
    numbers = [value for value in found if not isinstance(value, BadInput)]
    assert 50_000 < len(numbers) < 150_000 and numbers[:-1] == list(range(len(numbers) - 1))
    assert readable(found)[-1] == (None, "its end is missing: it is cut off")
    path.write_bytes(whole[:12] + b"\xff" * 1000)
    assert readable(await everything(jsonl(path)))[-1] == (None, "its end is missing: it is damaged")


# -- CSV -----------------------------------------------------------------------------------------------


async def rows(path: Path, text: str, **options: Any) -> list[Any]:
    path.write_text(text, newline="")
    return readable(await everything(csv(path, **options)))


async def test_rows_are_dictionaries(path: Path) -> None:
    text = 'id,name\r\n1,"a, ""b""\r\nc"\r\n\r\n2,\r\n'
    assert await rows(path, text) == [{"id": "1", "name": 'a, "b"\nc'}, {"id": "2", "name": ""}]
    assert await rows(path, "1;x\n2;'y;z'\n", delimiter=";", quote="'", header=["id", "name"]) == [
        {"id": "1", "name": "x"},
        {"id": "2", "name": "y;z"},
    ]


async def test_types_and_rows_that_do_not_fit(path: Path) -> None:
    text = 'id,price\n1,2.5\nx,1\n3\n4,5,6\n5,"6"\n'
    assert await rows(path, text, types={"id": int, "price": float}) == [
        {"id": 1, "price": 2.5},
        (3, "the value of 'id' is no int"),
        (4, "it has 1 field, and there are 2 columns"),
        (5, "it has 3 fields, and there are 2 columns"),
        {"id": 5, "price": 6.0},
    ]


async def test_a_quote_that_is_never_closed_costs_one_row(path: Path) -> None:
    text = 'id,name\n1,"open\n2,b\n3,c\n4,d\n'
    assert await rows(path, text) == [
        (2, "its quotes are not closed"),
        {"id": "2", "name": "b"},
        {"id": "3", "name": "c"},
        {"id": "4", "name": "d"},
    ]
    assert await rows(path, 'id,name\n1,a "quoted" word\n2,5" pipe\n') == [
        {"id": "1", "name": 'a "quoted" word'},
        {"id": "2", "name": '5" pipe'},
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,id\n", {}, "line 1: two columns are called 'id'"),
        ("id,,x\n", {}, "line 1: column 2 has no name"),
        ("id\n", {"types": {"no": int}}, "types names 'no', and there is no such column"),
        ("", {"header": ["a", "a"]}, "header: two columns are called 'a'"),
        ("", {"delimiter": ";;"}, "delimiter: give one character"),
        ("", {"quote": ""}, "quote: give one character"),
    ],
)
async def test_columns_that_cannot_be_told_apart(path: Path, text: str, options: Any, message: str) -> None:
    with pytest.raises(ApiConfigurationError) as refused:
        await rows(path, text, **options)
    assert message in str(refused.value)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(st.lists(st.tuples(cells, cells), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_the_standard_writer_writes_comes_back(path: Path, table: list[tuple[str, str]]) -> None:
    import csv as standard

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = standard.writer(file, quoting=standard.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("a", "b"), *table])
    assert asyncio.run(everything(csv(path))) == [{"a": a, "b": b} for a, b in table]


# -- folders -------------------------------------------------------------------------------------------


async def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("2\n{\n")
    (tmp_path / "a.jsonl").write_text("1")
    (tmp_path / "c.txt").write_text("no")
    found = await everything(jsonl(tmp_path, pattern="*.jsonl"))
    assert found[:2] == [1, 2] and (found[2].source, found[2].line) == (str(tmp_path / "b.jsonl"), 2)
    assert await everything(csv(tmp_path, pattern="none")) == []


# -- follow --------------------------------------------------------------------------------------------


async def test_following_a_file(path: Path) -> None:
    path.write_text("1\n2")
    source = aiter(jsonl(path, follow=True, every=0.001))
    assert await anext(source) == 1
    more = asyncio.ensure_future(anext(source))
    await asyncio.sleep(0.02)
    assert not more.done()  # half a line may be half a number
    with path.open("a") as file:
        file.write("5\n6\n")
    assert [await more, await anext(source)] == [25, 6]
    path.rename(path.with_suffix(".1"))
    with path.with_suffix(".1").open("a") as file:
        file.write("7\n")
    path.write_text("8\n{\n")
    found = [await anext(source) for _ in range(3)]
    assert found[:2] == [7, 8] and found[2].line == 2
    os.truncate(path, 0)
    with path.open("a") as file:
        file.write("9\n")
    assert await anext(source) == 9
    await source.aclose()  # type: ignore[attr-defined]


async def test_following_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n")
    source = aiter(lines(tmp_path, follow=True, every=0.001))
    assert await anext(source) == "1"
    (tmp_path / "b").write_text("2\n")
    assert await anext(source) == "2"
    with (tmp_path / "a").open("a") as file:
        file.write("3\n")
    assert await anext(source) == "3"
    await source.aclose()  # type: ignore[attr-defined]


async def test_a_wait_for_more_can_be_cancelled(path: Path) -> None:
    path.touch()
    reading = asyncio.ensure_future(everything(jsonl(path, follow=True)))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


# -- pipes and ends ------------------------------------------------------------------------------------


def piped(program: str, given: bytes) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=given,
        capture_output=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
    )
    return done.stdout.decode() + done.stderr.decode()


def test_standard_input() -> None:
    program = """
import asyncio
from rxorch.sources import jsonl
async def main():
    async for value in jsonl("-"):
        print(getattr(value, "line", value), getattr(value, "source", ""))
asyncio.run(main())
"""
    assert piped(program, b"1\n{\n") == "1 \n2 standard input\n"


def test_a_pipe_that_says_nothing_does_not_keep_the_program() -> None:
    program = """
import asyncio, sys
from rxorch.sources import jsonl
async def main():
    async for value in jsonl("-"):
        print(value, flush=True)
        break
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
    ) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(b"1\n")
        running.stdin.flush()
        assert running.wait(60) == 0  # its pipe is open all the while
        assert (running.stdout.read(), running.stderr.read()) == (b"1\n", b"")


async def test_it_is_read_no_further_than_wanted_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"x\n" * 2_000_000)
    before = set(Path("/proc/self/fd").iterdir())
    seen = 0
    async with rxo.to_async_iterable(rxo.from_async_iterable(lines(path))) as values:
        async for _ in values:
            seen += 1
            if seen == 3:
                break
    while any(thread.name == "rxorch-read" for thread in threading.enumerate()):
        await asyncio.sleep(0)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jsonl(""), 'path: give the path of a file or folder, or "-"'),
        (lambda: jsonl(7), "path: give"),  # type: ignore[arg-type]
        (lambda: jsonl("x", max_line=0), "max_line: give a whole number of bytes"),
        (lambda: jsonl("x", every=math.nan), "every: give seconds"),
        (lambda: jsonl("x", on_bad="skip"), "on_bad: give 'record' or 'raise'"),  # type: ignore[arg-type]
        (lambda: csv("x", on_bad="skip"), "on_bad: give 'record' or 'raise'"),  # type: ignore[arg-type]
        (lambda: jsonl("-", follow=True), "follow: standard input ends"),
        (lambda: jsonl("x.gz", follow=True), "follow: a compressed file"),
    ],
)
def test_arguments_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(ApiConfigurationError) as refused:
        make()
    assert message in str(refused.value)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_file_that_is_not_there(tmp_path: Path, follow: bool) -> None:
    with pytest.raises(FileNotFoundError):
        await everything(jsonl(tmp_path / "none", follow=follow))
