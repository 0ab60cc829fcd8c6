"""Pages from a real server: each asked for when its items are wanted, once, and in order."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp import web
from reactivex import operators as ops

from rxorch import ApiClient, APIEndpoint, ApiError, ApiHttpError, ApiValidationError
from rxorch import operators as rxo
from rxorch.endpoint.auth import ApiKeyAuth
from rxorch.errors import ApiConfigurationError
from rxorch.paging import cursor, link_header, next_url, offset, page_number, paginate
from rxorch.testing import MockTransport
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.loopback import Loopback

ITEMS = list(range(1, 8))
"""What the servers have: seven items, on pages of three."""


def pages(limit: int = 3, total: int | None = len(ITEMS)) -> dict[str, Any]:
    """A server with all ways of paging; without a total it never ends."""

    def items(start: int, count: int = limit) -> list[int]:
        numbers = range(start + 1, start + count + 1)
        return [n for n in numbers if total is None or n <= total]

    def numbered(request: web.Request) -> Any:
        return items((int(request.query["page"]) - 1) * limit)

    def shifted(request: web.Request) -> Any:
        return {"items": items(int(request.query["offset"]), min(limit, int(request.query["limit"])))}

    def pointed(start: int) -> dict[str, Any]:
        more = total is None or start + limit < total
        return {"items": items(start), "meta": {"next": f"c{start + limit}" if more else None}}

    async def posted(request: web.Request) -> Any:
        body = await request.json()
        return pointed(int(body.get("cursor", "c0")[1:]))

    def linked(request: web.Request) -> web.Response:
        start = int(request.query.get("after", 0))
        headers = {}
        if total is None or start + limit < total:
            headers["Link"] = f'</first>; rel="first", </linked/2?after={start + limit}&x=%2B>; rel="next"'
        return web.json_response(items(start), headers=headers)

    def urls(request: web.Request) -> Any:
        start = int(request.query.get("after", 0))
        more = total is None or start + limit < total
        return {"items": items(start), "next": f"?after={start + limit}" if more else ""}

    return {
        "GET /numbered": numbered,
        "GET /shifted": shifted,
        "GET /pointed": lambda request: pointed(int(request.query.get("cursor", "c0")[1:])),
        "POST /pointed": posted,
        "GET /linked": linked,
        "GET /linked/2": linked,
        "GET /urls": urls,
    }


def api(server: Loopback, path: str, **fields: Any) -> APIEndpoint:
    return APIEndpoint(name="api", url=server.url + path, **fields)


async def all_of(source: Any) -> list[Any]:
    async with rxo.to_async_iterable(source) as found:
        return [each async for each in found]


WAYS = [
    ("/numbered", {}, {"next": page_number()}, 4),
    ("/shifted", {}, {"next": offset(limit=2), "items": "items"}, 5),
    ("/shifted", {}, {"next": offset(limit=100), "items": "items"}, 4),  # the server gives three at most
    ("/pointed", {}, {"next": cursor("meta.next"), "items": "items"}, 3),
    ("/pointed", {"params": {"cursor": "{cursor}"}}, {"next": cursor("meta.next"), "items": "items[]"}, 3),
    ("/pointed", {"method": "POST"}, {"next": cursor("meta.next"), "items": "items"}, 3),
    ("/linked", {}, {"next": link_header()}, 3),
    ("/urls", {}, {"next": next_url("next"), "items": lambda page: page["items"]}, 3),
    (
        "/numbered",
        {"params": lambda data: {"page": data["n"]}},
        {"next": lambda page, data: {"n": data["n"] + 1} if page else None, "data": {"n": 1}},
        4,
    ),
]


@pytest.mark.parametrize("prefetch", [0, 1])
@pytest.mark.parametrize(("path", "fields", "settings", "requests"), WAYS)
async def test_all_items_come_in_order_and_each_page_is_asked_for_once(
    loopback: ServeLoopback, path: str, fields: Any, settings: Any, requests: int, prefetch: Any
) -> None:
    server = await loopback(pages())
    async with ApiClient() as client:
        stream = paginate(client, api(server, path, **fields), prefetch=prefetch, **settings)
        assert await all_of(stream) == ITEMS
        assert server.total == requests
        assert await all_of(stream) == ITEMS  # cold: whoever subscribes begins at the first page
    assert server.total == 2 * requests


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3)])
async def test_of_endless_pages_only_those_are_asked_for_that_are_wanted(
    loopback: ServeLoopback, count: int, requests: int
) -> None:
    server = await loopback(pages(total=None))
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/numbered"), next=page_number()).pipe(ops.take(count))
        assert await all_of(stream) == list(range(1, count + 1))
    assert server.total == requests


async def test_the_next_page_waits_until_the_consumer_has_used_this_one(loopback: ServeLoopback) -> None:
    server = await loopback(pages(total=None))
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/numbered"), next=page_number())
        async with rxo.to_async_iterable(stream) as found:
            totals = [server.total async for _ in _first(found, 7)]
    assert totals == [1, 1, 1, 2, 2, 2, 3]


async def test_a_page_ahead_is_asked_for_and_no_more(loopback: ServeLoopback) -> None:
    server = await loopback(pages(total=None))
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/numbered"), next=page_number(), prefetch=1)
        async with rxo.to_async_iterable(stream) as found:
            assert await anext(found) == 1
            await server.until(lambda: server.total == 2)
            await server.until_idle()
            assert [await anext(found), await anext(found)] == [2, 3]
            assert server.total == 2
            assert await anext(found) == 4
            await server.until(lambda: server.total == 3)
    assert server.total == 3


async def _first(source: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(source)


async def test_a_bounded_operator_behind_it_holds_it_back(loopback: ServeLoopback) -> None:
    server = await loopback(pages(total=None))
    gate = asyncio.Event()
    started = []

    async def work(item: int) -> int:
        started.append(item)
        await gate.wait()
        return item

    async with ApiClient() as client:
        stream = paginate(client, api(server, "/numbered"), next=page_number())
        slow = stream.pipe(rxo.flat_map_bounded(work, max_concurrent=2), ops.take(2))
        async with rxo.to_async_iterable(slow) as found:
            first = asyncio.ensure_future(anext(found))
            while len(started) < 2:
                await asyncio.sleep(0)
            await server.until_idle()
            assert (started, server.total) == ([1, 2], 1)
            gate.set()
            assert await first == 1


@pytest.mark.parametrize("prefetch", [0, 1])
async def test_an_error_comes_behind_what_came_before_it(loopback: ServeLoopback, prefetch: Any) -> None:
    def handler(request: web.Request) -> Any:
        return [1, 2] if request.query["page"] == "1" else 404

    server = await loopback({"GET /x": handler})
    got = []
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/x"), next=page_number(), prefetch=prefetch)
        with pytest.raises(ApiHttpError, match="HTTP 404"):
            async with rxo.to_async_iterable(stream) as found:
                async for each in found:
                    got.append(each)  # noqa: PERF401 - what came before the error is to be kept
    assert (got, server.total) == ([1, 2], 2)


@virtual_time
async def test_each_page_is_repeated_like_any_call() -> None:
    transport = MockTransport({"/x?page=1": [503, [1]], "/x?page=2": [[2]], "/x?page=3": [[]]})
    endpoint = APIEndpoint(name="x", url="https://api.example.com/x")
    async with ApiClient(transport) as client:
        assert await all_of(paginate(client, endpoint, next=page_number())) == [1, 2]
    assert [call.url.query["page"] for call in transport.calls] == ["1", "1", "2", "3"]


@pytest.mark.parametrize("prefetch", [0, 1])
async def test_disposal_cancels_the_call_under_way(loopback: ServeLoopback, prefetch: Any) -> None:
    async def handler(request: web.Request) -> Any:
        if request.query["page"] == "1":
            return [1]
        await asyncio.sleep(60)
        return []

    server = await loopback({"GET /x": handler})
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/x"), next=page_number(), prefetch=prefetch)
        async with rxo.to_async_iterable(stream) as found:
            assert await anext(found) == 1
            waiting = asyncio.ensure_future(anext(found))
            await server.until(lambda: server.hits["/x"] == 2)
            waiting.cancel()
            await asyncio.wait({waiting})
        await server.until(lambda: server.closed_early == 1)
        assert client.runtime(api(server, "/x")).calls_in_flight == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_a_page_ahead_ends_with_its_stream(loopback: ServeLoopback, fails: bool) -> None:
    """Though nobody waits for it yet, and whatever became of it."""

    async def handler(request: web.Request) -> Any:
        if request.query["page"] == "1":
            return [1, 2]
        if not fails:
            await asyncio.sleep(60)
        return 404

    server = await loopback({"GET /x": handler})
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/x"), next=page_number(), prefetch=1)
        async with rxo.to_async_iterable(stream) as found:
            assert await anext(found) == 1
            await server.until(lambda: server.hits["/x"] == 2)
            if fails:
                await server.until_idle()
        assert client.runtime(api(server, "/x")).calls_in_flight == 0
        await server.until_idle()
    assert server.closed_early == (0 if fails else 1)


async def test_it_works_without_a_block_and_keeps_one_session(loopback: ServeLoopback) -> None:
    server = await loopback(pages())
    client = ApiClient()
    assert await all_of(paginate(client, api(server, "/numbered"), next=page_number())) == ITEMS
    assert (server.total, server.connections_made) == (4, 1)


async def test_the_most_pages(loopback: ServeLoopback) -> None:
    server = await loopback(pages(total=None))
    async with ApiClient() as client:
        for prefetch in (0, 1):
            stream = paginate(
                client, api(server, "/linked"), next=link_header(), max_pages=2, prefetch=prefetch
            )
            assert await all_of(stream) == [1, 2, 3, 4, 5, 6]
    assert server.total == 4


async def test_pages_of_a_subscriber_that_cannot_wait(loopback: ServeLoopback) -> None:
    server = await loopback(pages())
    got: list[int] = []
    done = asyncio.get_running_loop().create_future()
    async with ApiClient() as client:
        stream = paginate(client, api(server, "/numbered"), next=page_number())
        stream.subscribe(got.append, done.set_exception, lambda: done.set_result(None))
        await done
    assert got == ITEMS


# -- the requests --------------------------------------------------------------------------------------


async def asked(answers: Any, rule: Any, data: Any = None, items: Any = None, **fields: Any) -> list[Any]:
    """What is asked for, as method, path with query, and body."""
    transport = MockTransport({"api": answers})
    fields = {"name": "api", "url": "https://api.example.com/x", "idempotency_key": None, **fields}
    async with ApiClient(transport) as client:
        await all_of(paginate(client, APIEndpoint(**fields), data, next=rule, items=items))
    return [(call.url.raw_path_qs, call.json() if call.body else None) for call in transport.calls]


async def test_where_a_page_parameter_goes() -> None:
    flat = [[1], []]
    assert await asked(flat, page_number()) == [("/x?page=1", None), ("/x?page=2", None)]
    assert await asked(flat, page_number(size_param="per_page", size=50, start=0), {"q": 1}) == [
        ("/x?page=0&per_page=50", None),
        ("/x?page=1&per_page=50", None),
    ]
    assert await asked(flat, page_number(), {"q": "a b"}, params={"q": "{q}", "page": 9, "k": "x&y"}) == [
        ("/x?q=a%20b&k=x%26y&page=1", None),
        ("/x?q=a%20b&k=x%26y&page=2", None),
    ]
    assert await asked(flat, page_number(), params={"p": "{page}"}) == [("/x?p=1", None), ("/x?p=2", None)]
    assert await asked(flat, page_number(), url="https://api.example.com/pages/{page}") == [
        ("/pages/1", None),
        ("/pages/2", None),
    ]
    assert await asked(flat, page_number(), params=lambda data: {"p": data["page"] * 10}) == [
        ("/x?p=10", None),
        ("/x?p=20", None),
    ]
    assert await asked(flat, page_number(), {"q": 1}, method="POST") == [
        ("/x", {"q": 1, "page": 1}),
        ("/x", {"q": 1, "page": 2}),
    ]
    assert await asked(flat, page_number(), method="POST", body=lambda data: {"from": data["page"]}) == [
        ("/x", {"from": 1}),
        ("/x", {"from": 2}),
    ]
    assert await asked(flat, page_number(), method="POST", body={"a": 1}, params={"page": "{page}"}) == [
        ("/x?page=1", {"a": 1}),
        ("/x?page=2", {"a": 1}),
    ]


async def test_a_cursor_is_sent_as_it_came_and_the_first_page_has_none_but_a_given_one() -> None:
    answers = [{"items": [1], "next": "a/b+c="}, {"items": [], "next": 0}, {"items": [2]}]
    rule = cursor("next")
    assert await asked(answers, rule, items="items") == [
        ("/x", None),
        ("/x?cursor=a%2Fb%2Bc%3D", None),
        ("/x?cursor=0", None),  # an empty page is not the end, and zero is a cursor
    ]
    assert (await asked(answers, rule, {"cursor": "z"}, "items"))[0] == ("/x?cursor=z", None)
    assert (await asked(answers, rule, {"q": 1}, "items", method="POST"))[:2] == [
        ("/x", {"q": 1}),
        ("/x", {"q": 1, "cursor": "a/b+c="}),
    ]


async def test_a_flag_may_say_that_there_is_more() -> None:
    answers = [{"data": [{"id": 7}], "has_more": True}, {"data": [{"id": 8}], "has_more": False}]
    rule = cursor("data.-1.id", "starting_after", more="has_more")
    assert await asked(answers, rule, items="data") == [("/x", None), ("/x?starting_after=7", None)]


async def test_the_url_of_a_page_keeps_its_form_and_gets_the_credentials_of_the_endpoint() -> None:
    answers = [{"next": "/y?c=a%2Bb&c=%C3%A4#top"}, {"next": "https://API.example.com:443/z"}, {}]
    params = {"api_key": "k3y", "lang": "en"}
    assert await asked(answers, next_url("next"), items=lambda page: [], params=params) == [
        ("/x?api_key=k3y&lang=en", None),
        ("/y?c=a%2Bb&c=%C3%A4&api_key=k3y", None),
        ("/z?api_key=k3y", None),
    ]
    answers = [{"next": "/y?api_key=other"}, {}]
    paths = await asked(answers, next_url("next"), items=lambda page: [], params=params)
    assert paths[1] == ("/y?api_key=other", None)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/x",
        "http://api.example.com/x",
        "https://api.example.com:8443/x",
        "//evil.example.com/x",
        "https://api.example.com@evil.example.com/x",
    ],
)
async def test_another_origin_is_not_asked(url: str) -> None:
    """It would be sent the credentials of this one."""
    transport = MockTransport(lambda request: {"items": [1], "next": url})
    endpoint = APIEndpoint(name="api", url="https://api.example.com/x", headers={"Authorization": "Bearer t"})
    async with ApiClient(transport) as client:
        stream = paginate(client, endpoint, next=next_url("next"), items="items")
        with pytest.raises(ApiError, match="another origin") as caught:
            await all_of(stream)
    assert len(transport.calls) == 1 and "evil" not in str(caught.value)
    assert caught.value.endpoint == "api"


async def test_user_info_in_the_url_of_a_page_is_not_used() -> None:
    transport = MockTransport(
        {"api": [{"next": "https://me:pw@api.example.com/y"}, {}]},
    )
    endpoint = APIEndpoint(name="api", url="https://api.example.com/x", auth=ApiKeyAuth("X-Key", "k3y"))
    async with ApiClient(transport) as client:
        await all_of(paginate(client, endpoint, next=next_url("next"), items=lambda page: []))
    assert [call.headers["x-key"] for call in transport.calls] == ["k3y", "k3y"]
    assert transport.calls[1].url.user is None


@pytest.mark.parametrize("url", [7, {"a": 1}, "https://[", "javascript:alert(1)", "/a\nb"])
async def test_what_is_no_url_is_told(url: Any) -> None:
    with pytest.raises(ApiValidationError, match="not a url") as caught:
        await asked([{"next": url}], next_url("next"), items=lambda page: [])
    assert caught.value.endpoint == "api"


# -- going round in a circle ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("lead", [0, 1, 5])
async def test_a_circle_of_cursors_is_noticed_however_long(length: int, lead: int) -> None:
    """Also when it does not lead back to the first page."""
    marks = itertools.chain(range(lead), itertools.cycle(range(lead, lead + length)))
    transport = MockTransport(lambda request: {"next": f"c{marks.__next__()}"})
    endpoint = APIEndpoint(name="api", url="https://api.example.com/x")
    async with ApiClient(transport) as client:
        with pytest.raises(ApiError, match="round in a circle") as caught:
            await all_of(paginate(client, endpoint, next=cursor("next"), items=lambda page: []))
    assert caught.value.endpoint == "api"
    assert len(transport.calls) <= 4 * (lead + length) + 2


async def test_the_same_url_twice_is_a_circle() -> None:
    with pytest.raises(ApiError, match="round in a circle"):
        await asked(lambda request: {"next": "/x?page=2"}, next_url("next"), items=lambda page: [])


async def test_cursors_that_all_differ_are_none() -> None:
    answers = [{"items": [n], "next": f"c{n}"} for n in range(100)] + [{"items": []}]
    assert len(await asked(answers, cursor("next"), items="items")) == 101


# -- what is told --------------------------------------------------------------------------------------


async def test_items_that_are_not_where_they_should_be() -> None:
    for answer, items, words in [
        ({"a": [1]}, None, "a list was expected, not a dict"),
        ({"a": [1]}, "b", "items 'b' leads nowhere"),
        ({"a": "text"}, "a", "a list was expected, not a str"),
    ]:
        with pytest.raises(ApiValidationError, match=words) as caught:
            await asked([answer], page_number(), items=items)
        assert caught.value.endpoint == "api"
    assert len(await asked([{"a": None}], page_number(), items="a")) == 1


async def test_a_cursor_that_cannot_be_found_or_sent() -> None:
    with pytest.raises(ApiValidationError, match="without response_key"):
        await asked([{"items": [1], "meta": {"next": "c"}}], cursor("meta.next"), response_key="items")
    for value in ({"a": 1}, True, 1.5):
        with pytest.raises(ApiValidationError, match="not to text or a whole number"):
            await asked([{"items": [1], "next": value}], cursor("next"), items="items")


async def test_data_that_is_no_mapping_is_for_a_function_of_ones_own() -> None:
    with pytest.raises(ApiConfigurationError, match="a page parameter is set in a mapping"):
        await asked([{}], page_number(), [1])
    again = await asked([[1], []], lambda page, data: data[1:] or None, [1, 2], method="POST")
    assert again == [("/x", [1, 2]), ("/x", [2])]


@pytest.mark.parametrize(
    ("settings", "fields", "words"),
    [
        ({"next": 7}, {}, "next: give page_number"),
        ({"next": page_number}, {}, r"next=page_number\(\.\.\.\)"),
        ({"next": cursor}, {}, r"next=cursor\(\.\.\.\)"),
        ({"next": lambda a, b, c: None}, {}, "next must take"),
        ({"max_pages": 0}, {}, "max_pages"),
        ({"max_pages": True}, {}, "max_pages"),
        ({"prefetch": 2}, {}, "prefetch"),
        ({"items": 7}, {}, "items: give a path"),
        ({"items": "a..b"}, {}, "a path is keys"),
        ({"items": lambda a, b: a}, {}, "items must take exactly one"),
        ({}, {"stream": "lines"}, "elements and no pages"),
        ({"next": link_header()}, {"cache_ttl": 60}, "kept answers have no headers"),
        ({}, {"method": "POST", "body": {"a": 1}}, "would be the same on every page"),
    ],
)
async def test_a_mistake_is_told_when_it_is_declared(settings: Any, fields: Any, words: str) -> None:
    endpoint = APIEndpoint(name="api", url="https://api.example.com/x", **fields)
    async with ApiClient(MockTransport({})) as client:
        with pytest.raises(ApiConfigurationError, match=words):
            paginate(client, endpoint, **{"next": page_number(), **settings})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: page_number(""), "a name is text"),
        (lambda: page_number(7), "a name is text"),  # type: ignore[arg-type]
        (lambda: page_number(size=10), "both size_param and size"),
        (lambda: page_number(start=-1), "start: give a whole number, 0 or more"),
        (lambda: offset(limit=0), "limit: give a whole number, 1 or more"),
        (lambda: offset(start=True), "start"),
        (lambda: cursor("a..b"), "a path is keys"),
        (lambda: cursor(7), "path: give a dotted path"),  # type: ignore[arg-type]
        (lambda: cursor("a", more=7), "more: give a dotted path"),  # type: ignore[arg-type]
        (lambda: link_header(""), "a name is text"),
        (lambda: next_url(""), "a path is keys"),
    ],
)
def test_a_rule_that_cannot_work_is_told(make: Any, words: str) -> None:
    with pytest.raises(ApiConfigurationError, match=words):
        make()


async def test_links_are_read_from_what_the_http_cache_keeps(loopback: ServeLoopback) -> None:
    def linked(request: web.Request) -> web.Response:
        page = int(request.query.get("page", 1))
        headers = {"Cache-Control": "max-age=600"}
        if page < 3:
            headers["Link"] = f'<?page={page + 1}>; rel="next"'
        return web.json_response([page], headers=headers)

    server = await loopback({"GET /x": linked})
    async with ApiClient(http_cache=True) as client:
        for _ in range(2):
            assert await all_of(paginate(client, api(server, "/x"), next=link_header())) == [1, 2, 3]
    assert server.total == 3


async def test_links_are_read_from_what_the_http_cache_finds_still_right(loopback: ServeLoopback) -> None:
    def linked(request: web.Request) -> web.Response:
        page = int(request.query.get("page", 1))
        headers = {"Cache-Control": "no-cache", "ETag": f'"{page}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if page < 3:
            headers["Link"] = f'<?page={page + 1}>; rel="next"'
        return web.json_response([page], headers=headers)

    server = await loopback({"GET /x": linked})
    async with ApiClient(http_cache=True) as client:
        for _ in range(2):
            assert await all_of(paginate(client, api(server, "/x"), next=link_header())) == [1, 2, 3]
    assert server.total == 6
