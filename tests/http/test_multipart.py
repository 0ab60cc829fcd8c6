"""Forms with files, read by a server that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import BodyPartReader, web
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http import AioHttpTransport, Request
from rxorch.http.body import StreamedBody
from rxorch.http.multipart import FilePart, multipart
from tests.http.raw import Peer, RawServer

Part = tuple[str | None, str | None, str | None, bytes]


def post(url: str, body: StreamedBody) -> Request:
    return Request("POST", URL(url), body=body)


pytestmark = pytest.mark.filterwarnings("ignore:unread_data:DeprecationWarning")  # aiohttp's own

Parse = Callable[[StreamedBody], Awaitable[list[Part]]]


@pytest.fixture
async def parsed(transport: AioHttpTransport) -> AsyncIterator[Parse]:
    """``await parsed(body)``: the parts (name, filename, content type, content) as aiohttp reads them."""
    parts: list[Part] = []

    async def read(request: web.Request) -> web.Response:
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            content = bytes(await part.read())
            parts.append((part.name, part.filename, part.headers.get("Content-Type"), content))
        return web.Response()

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/up", read)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def parse(body: StreamedBody) -> list[Part]:
        parts.clear()
        answer = await transport.send(post(f"http://127.0.0.1:{runner.addresses[0][1]}/up", body))
        assert answer.status == 200, answer.text
        return list(parts)

    yield parse
    await transport.aclose()
    await runner.cleanup()


async def whole(body: StreamedBody) -> bytes:
    return b"".join([piece async for piece in body.pieces()])


async def test_fields_of_every_kind(parsed: Parse, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(b"id,name\n" * 200_000)

    async def made() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    fields = {
        "title": "Gr\u00fc\u00dfe",
        "raw": b"\x00\xff",
        "empty": "",
        "file": FilePart(file),
        "text": FilePart(b"hello", "a.txt"),
        "odd": FilePart(str(file), "x.unknown-kind", "application/x-odd; v=1"),
        "many": ["1", b"2", FilePart([b"3"], "3.bin")],
        "stream": FilePart(made, "s.json"),
    }
    parts = await parsed(multipart(fields))
    assert parts == [
        ("title", None, None, "Gr\u00fc\u00dfe".encode()),
        ("raw", None, None, b"\x00\xff"),
        ("empty", None, None, b""),
        ("file", "users.csv", "text/csv", file.read_bytes()),
        ("text", "a.txt", "text/plain", b"hello"),
        ("odd", "x.unknown-kind", "application/x-odd; v=1", file.read_bytes()),
        ("many", None, None, b"1"),
        ("many", None, None, b"2"),
        ("many", "3.bin", "application/octet-stream", b"3"),
        ("stream", "s.json", "application/json", b"onetwo"),
    ]


async def test_pairs_and_nothing(parsed: Parse) -> None:
    assert await parsed(multipart([("a", "1"), ("b", "2"), ("a", "3")])) == [
        ("a", None, None, b"1"),
        ("b", None, None, b"2"),
        ("a", None, None, b"3"),
    ]
    assert await parsed(multipart({})) == []


async def test_the_length_is_known_where_it_can_be(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 100_000)
    known = multipart({"a": "1", "b": FilePart(file), "c": FilePart(StreamedBody([b"123"], length=3), "c")})
    assert known.length == len(await whole(known))
    assert multipart({"a": "1", "b": FilePart([b"123"], "b")}).length is None


async def test_a_repetition_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 1000)
    body = multipart({"a": "1", "b": FilePart(file)})
    assert body.repeatable
    assert await whole(body) == await whole(body)
    assert multipart({}).content_type != multipart({}).content_type


async def test_what_can_be_read_once_is_sent_once() -> None:
    body = multipart({"a": FilePart(iter([b"1"]), "a")})
    assert not body.repeatable
    await whole(body)
    with pytest.raises(ApiValidationError, match="begun before"):
        await whole(body)


NASTY = 'a"; filename="evil.sh\r\nX-Admin: yes\r\n\r\nbody\x00\n'


async def test_no_name_begins_another_header(parsed: Parse) -> None:
    body = multipart({NASTY: "1", "f": FilePart(b"2", NASTY)}, boundary="b")
    sent = await whole(body)
    assert b"\r\nX-Admin" not in sent
    assert sent.count(b"\r\n\r\n") == 2
    assert b'name="a%22; filename=%22evil.sh%0D%0AX-Admin: yes%0D%0A%0D%0Abody%00%0A"' in sent
    first, second = await parsed(body)
    assert (first[1], first[3]) == (None, b"1")
    assert (second[0], second[3]) == ("f", b"2")


async def test_names_in_other_alphabets(parsed: Parse) -> None:
    body = multipart({"\u540d\u524d": FilePart(b"1", "gr\u00fc\u00dfe \u65e5.txt")})
    assert await parsed(body) == [("\u540d\u524d", "gr\u00fc\u00dfe \u65e5.txt", "text/plain", b"1")]


async def test_a_boundary_that_is_given(parsed: Parse) -> None:
    body = multipart({"a": "1"}, boundary="a:b?c=(d)")
    assert body.content_type == 'multipart/form-data; boundary="a:b?c=(d)"'
    assert await parsed(body) == [("a", None, None, b"1")]


@pytest.mark.parametrize(
    ("fields", "options", "says"),
    [
        ({"a": 7}, {}, "field 'a' is text, bytes or a FilePart, not int"),
        ({"a": None}, {}, "field 'a'"),
        ({7: "a"}, {}, "the name of a field is text"),
        ({"a": FilePart("nowhere.bin")}, {}, "field 'a': cannot read 'nowhere.bin': No such file"),
        ({"a": FilePart(b"1")}, {}, "field 'a': give a filename"),
        ({"a": FilePart(b"1", "f", "text/plain\r\nX-Admin: yes")}, {}, "field 'a': content_type"),
        ({"a": "\ud800"}, {}, "field 'a' has text that is not Unicode"),
        ({"a": FilePart(b"1", "\ud800")}, {}, "field 'a' has text that is not Unicode"),
        ({"a": FilePart(7, "f")}, {}, "StreamedBody"),  # type: ignore[arg-type]
        ({}, {"boundary": ""}, "boundary"),
        ({}, {"boundary": "a\r\nb"}, "boundary"),
        ({}, {"boundary": "a" * 71}, "boundary"),
    ],
)
def test_what_is_no_form(fields: Any, options: Any, says: str) -> None:
    with pytest.raises(ApiConfigurationError, match=says):
        multipart(fields, **options)


async def test_a_file_that_changed_meanwhile_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 1000)
    body = multipart({"a": FilePart(file)})
    for content in (b"x" * 999, b"x" * 1001):
        file.write_bytes(content)
        with pytest.raises(ApiValidationError, match="1000"):
            await whole(body)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        await whole(body)


async def test_a_file_is_read_as_it_is_sent(tmp_path: Path, transport: AioHttpTransport) -> None:
    file = tmp_path / "large.bin"
    with file.open("wb") as sparse:
        sparse.truncate(500_000_000)
    largest = 0

    async def read_a_little(peer: Peer) -> None:
        await peer.request()
        await peer.receive(10_000_000)
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.gone()

    body = multipart({"a": FilePart(file)})
    async for piece in body.pieces():
        largest = max(largest, len(piece))
        if largest > 200_000:
            break
    assert largest < 1_000_000
    async with RawServer(read_a_little, length_of_body=False) as server:
        assert (await transport.send(post(server.url, body))).status == 413


async def test_cancelling_closes_the_file(tmp_path: Path, transport: AioHttpTransport) -> None:
    file, begun = tmp_path / "large.bin", asyncio.Event()
    with file.open("wb") as sparse:
        sparse.truncate(500_000_000)

    async def read_a_little(peer: Peer) -> None:
        await peer.request()
        begun.set()
        await peer.gone()

    async with RawServer(read_a_little, length_of_body=False) as server:
        sending = asyncio.ensure_future(transport.send(post(server.url, multipart({"a": FilePart(file)}))))
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


def test_what_is_no_file_is_said_at_once(tmp_path: Path) -> None:
    for part in (FilePart(str(tmp_path)), FilePart("a\0b"), FilePart(b"", 5), FilePart(b"", "a", 5)):  # type: ignore[arg-type]
        with pytest.raises(ApiConfigurationError, match="multipart: field 'f'"):
            multipart({"f": part})
    with pytest.raises(ApiConfigurationError, match="boundary"):
        multipart({}, boundary=5)  # type: ignore[arg-type]


def test_a_packed_file_is_not_what_is_packed_in_it() -> None:
    form = multipart({"f": FilePart(b"x", "f.csv.gz")}, boundary="x")
    [head, *_] = asyncio.run(_all(form))
    assert b"Content-Type: application/octet-stream" in head


async def _all(form: StreamedBody) -> list[bytes]:
    return [piece async for piece in form.pieces()]
