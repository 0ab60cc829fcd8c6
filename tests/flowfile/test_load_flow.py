"""Orchestrations in YAML, run against a real server."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxorch import APIOrchestrator, OrchestrationMode
from rxorch.flowfile import FlowFileError, load_flow, resolve_flow, starter
from rxorch.worst_case import worst_case
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport
from tests.support.loopback import Loopback


async def echo(request: web.Request) -> web.Response:
    """What was asked."""
    body = await request.json() if request.body_exists else None
    return web.json_response(
        {
            "path": request.path,
            "query": dict(request.query),
            "auth": request.headers.get("Authorization"),
            "key": request.headers.get("X-Key"),
            "body": body,
            "active": request.match_info["id"] != "9",
        }
    )


@pytest.fixture
async def server(loopback: ServeLoopback) -> Loopback:
    return await loopback({"GET /{kind}/{id}": echo, "POST /{kind}/{id}": echo})


async def run(server: Loopback, text: str, data: Any = None, **variables: str) -> Any:
    config = load_flow(text=text, variables={"URL": server.url, **variables})
    async with APIOrchestrator(config) as orchestrator:
        return await orchestrator.execute({"id": 7} if data is None else data)


@pytest.mark.parametrize("mode", ["sequential", "PARALLEL", "fanout", "pipeline", "conditional", "hybrid"])
async def test_every_mode(server: Loopback, mode: str) -> None:
    config = load_flow(
        text=f"""
mode: {mode}
base_url: ${{URL}}
endpoints:
  - {{name: a, url: "/a/1"}}
  - {{name: b, url: "/b/2"}}
""",
        variables={"URL": server.url},
    )
    assert config.mode is OrchestrationMode[mode.upper()]
    async with APIOrchestrator(config) as orchestrator:
        result = await orchestrator.execute({"id": 7})
    assert [result[name]["path"] for name in ("a", "b")] == ["/a/1", "/b/2"]


async def test_conditions_and_transforms(server: Loopback) -> None:
    text = """
mode: hybrid
base_url: ${URL}
endpoints:
  - {name: user, url: "/users/{id}"}
  - name: order
    url: /orders/{id}
    method: post
    depends_on: [user]
    condition: user.active && id > `5`
    transform_input: "{id: id, from: user.path}"
    transform_output: body
  - name: never
    url: /never/{id}
    depends_on: [user]
    condition: "!user.active"
result_transformer: "{order: order, path: user.path}"
"""
    assert await run(server, text) == {"order": {"id": 7, "from": "/users/7"}, "path": "/users/7"}
    assert await run(server, text, {"id": 9}) == {"order": None, "path": "/users/9"}


async def test_nested_groups_and_choices(server: Loopback) -> None:
    text = """
base_url: ${URL}
endpoints:
  - {name: user, url: "/users/{id}", response_key: active}
  - parallel:
      - {name: a, url: "/a/1"}
      - pipeline:
          - {name: b, url: "/b/2", response_key: path}
          - {name: c, url: "/c/3"}
    max_concurrent: 2
  - conditional:
      if: user
      then: {name: yes, url: "/yes/1"}
      else:
        sequential: [{name: no, url: "/no/1"}]
"""
    result = await run(server, text)
    assert (list(result), result["yes"]["path"], list(result.skipped)) == (
        ["user", "a", "b", "c", "yes", "no"],
        "/yes/1",
        ["no"],
    )
    assert list((await run(server, text, {"id": 9})).skipped) == ["yes"]


async def test_what_stands_in_for_a_failure(server: Loopback) -> None:
    text = """
base_url: ${URL}
endpoints:
  - {name: a, url: "/no/such/place", error_handler: []}
  - {name: b, url: "/no/such/place", error_handler: {jmespath: "{code: status_code, kind: type}"}}
  - {name: c, url: "/no/such/place", error_handler: {plain: value}}
result_merger: "[1:]"
"""
    assert await run(server, text) == [{"code": 404, "kind": "ApiHttpError"}, {"plain": "value"}]


async def test_policies(server: Loopback) -> None:
    config = load_flow(
        text="""
rate: 6000/min
error_threshold: 0.5
defaults:
  timeout: 5
  retry: {max_attempts: 5, base: 0.1, jitter: none}
  follow_redirects: true
endpoints:
  - {name: a, url: "http://x.test/a", rate: 1/2s, circuit_breaker: {kind: count, size: 10, min_calls: 5}}
  - {name: b, url: "http://x.test/b", timeout: 7, circuit_breaker: false, rate_limiter: {rate: 5/s, burst: 2}}
  - {name: c, url: "http://x.test/c", retry_if: "status == `202`", cache_ttl: 1e1, retry: null}
"""
    )
    a, b, c = config.endpoints
    assert (config.global_rate_limit, config.rate_limit_window, config.error_threshold) == (6000, 60.0, 0.5)
    assert (a.timeout, b.timeout, a.retry.max_attempts, c.retry) == (5.0, 7.0, 5, None)  # type: ignore[union-attr]
    assert (a.rate_limit, a.rate_limit_window, b.circuit_breaker, c.cache_ttl) == (1, 2.0, False, 10.0)  # type: ignore[union-attr]
    assert b.rate_limiter.line.meter.burst == 2 and a.follow_redirects.max_hops == 5  # type: ignore[union-attr]
    transport = FakeTransport({"c": lambda request: 202 if not transport.calls[3:] else {}}, otherwise={})
    async with APIOrchestrator(config, transport=transport) as orchestrator:
        assert (await orchestrator.execute({})).ok


async def test_credentials_come_from_the_environment(server: Loopback, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    path = tmp_path / "flow.yaml"
    path.write_text(
        """
base_url: ${URL}
endpoints:
  - {name: a, url: "/a/1", auth: {bearer: "${TOKEN}"}}
  - {name: b, url: "/b/1", headers: {X-Key: "${file:key}"}}
  - name: c
    url: /c/1
    auth:
      - basic: {user: ada, password: "${TOKEN}"}
      - api_key: {name: X-Key, value: "${TOKEN}"}
  - {name: d, url: "/d/1", auth: {api_key: {name: k, value: "${NUMBER}", place: query}}}
"""
    )
    config = load_flow(path, variables={"URL": server.url, "TOKEN": "t0ken", "NUMBER": "0123"})
    assert "t0ken" not in repr(config) and "s3cret" not in repr(config)
    async with APIOrchestrator(config) as orchestrator:
        result = await orchestrator.execute({})
    assert (result["a"]["auth"], result["b"]["key"], result["c"]["key"]) == (
        "Bearer t0ken",
        "s3cret",
        "t0ken",
    )
    assert result["c"]["auth"].startswith("Basic ") and result["d"]["query"] == {"k": "0123"}


def test_oauth_is_made_without_a_word_of_its_secret() -> None:
    text = """
endpoints:
  - name: a
    url: http://x.test/
    auth:
      oauth2: {token_url: "https://x.test/token", client_id: me, client_secret: "${SECRET}", scope: read}
"""
    assert "hush" not in repr(load_flow(text=text, variables={"SECRET": "hush"}))


async def test_references_to_variables(server: Loopback) -> None:
    text = """
base_url: ${URL}
max_concurrent: ${CAP:-3}
fail_fast: ${FAST}
endpoints:
  - {name: a, url: "/a/${ID:-1}${EMPTY:-2}", params: {price: $$5, quoted: "${CAP:-7}", n: "${SET}"}}
"""
    config = load_flow(text=text, variables={"URL": server.url, "FAST": "true", "EMPTY": "", "SET": "no"})
    assert (config.max_concurrent, config.fail_fast) == (3, True)
    result = await run(server, text, FAST="true", EMPTY="", SET="no")
    assert (result["a"]["path"], result["a"]["query"]) == ("/a/12", {"price": "$5", "quoted": "7", "n": "no"})


def test_a_variable_cannot_write_yaml() -> None:
    text = 'endpoints:\n  - {name: a, url: "http://x.test/", headers: {X-Note: "${NOTE}"}}\n'
    config = load_flow(text=text, variables={"NOTE": '1", timeout: 99, X: "y'})
    (endpoint,) = config.endpoints
    assert (endpoint.timeout, list(endpoint.headers)) == (30.0, ["X-Note"])  # type: ignore[union-attr,arg-type]


def test_yaml_1_2_anchors_and_json() -> None:
    text = """
base: &base {timeout: 4, headers: {X-On: on, X-Day: 2026-01-31, X-Ratio: 1:30}}
"""
    config = load_flow(
        text="""
endpoints:
  - &first {name: a, url: "http://x.test/a", timeout: 4, headers: {X-On: on, X-Day: 2026-01-31, X-Time: 1:30}}
  - {<<: *first, name: b}
"""
    )
    a, b = config.endpoints
    assert a.headers == b.headers == {"X-On": "on", "X-Day": "2026-01-31", "X-Time": "1:30"}  # type: ignore[union-attr]
    assert (b.name, b.timeout) == ("b", 4.0)  # type: ignore[union-attr]
    assert load_flow(text='{"endpoints": [{"name": "a", "url": "http://x.test/"}]}').endpoints
    with pytest.raises(FlowFileError, match="2:1: base: unknown field"):
        load_flow(text=text)


def test_what_is_merged_gives_way_wherever_it_stands() -> None:
    config = load_flow(
        text="""
x-login: &login {auth: {bearer: not used}, headers: {X-A: a}, timeout: 4}
x-fast: &fast {<<: *login, timeout: 2, rate: 5/s}
endpoints:
  - {<<: *login, name: a, url: "http://x.test/", auth: {bearer: "${T}"}}
  - name: b
    url: http://x.test/
    auth: {bearer: "${T}"}
    timeout: 3
    <<: [*fast, {timeout: 9, retry_count: 7}]
""",
        variables={"T": "t"},
    )
    a, b = config.endpoints
    assert (a.timeout, b.timeout, b.rate_limit, b.retry_count) == (4.0, 3.0, 5, 7)  # type: ignore[union-attr]
    assert a.headers == b.headers == {"X-A": "a"}  # type: ignore[union-attr]


def test_many_merges_take_no_long_time() -> None:
    text = "x-base: &base {timeout: 3, headers: {a: b}}\nendpoints:\n" + "".join(
        f'  - {{<<: *base, name: n{number}, url: "http://x.test/"}}\n' for number in range(1000)
    )
    assert len(load_flow(text=text).endpoints) == 1000


def test_a_field_replaces_what_the_defaults_say_in_its_place() -> None:
    config = load_flow(
        text="""
defaults: {rate: 5/2s, retry: {max_attempts: 5}, auth: {bearer: "${T}"}}
endpoints:
  - {name: a, url: "http://x.test/", rate_limit: 3, retry_count: 0}
  - {name: b, url: "http://x.test/", rate_limiter: {rate: 1/s}}
  - {name: c, url: "http://x.test/", rate: 7/s, auth: false}
""",
        variables={"T": "t"},
    )
    a, b, c = config.endpoints
    assert (a.rate_limit, a.rate_limit_window, a.max_attempts) == (3, None, 1)  # type: ignore[union-attr]
    assert (b.rate_limit, b.max_attempts, c.rate_limit) == (None, 5, 7)  # type: ignore[union-attr]
    assert a.auth is b.auth and c.auth is False  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "secret", ["1e5", "0", "1.10", "true", "null", "12345678901234567890123", "0x1f", "~"]
)
@pytest.mark.parametrize("field", ["bearer: ${T}", "basic: {user: ada, password: '${T}'}"])
async def test_a_secret_is_as_it_is_written(server: Loopback, secret: str, field: str) -> None:
    text = f"""
base_url: ${{URL}}
endpoints:
  - name: a
    url: /a/1
    auth:
      {field}
    headers:
      X-Key: ${{T}}
    params:
      token: ${{T}}
"""
    answer = (await run(server, text, T=secret))["a"]
    basic = base64.b64encode(f"ada:{secret}".encode()).decode()
    assert answer["auth"] in (f"Bearer {secret}", f"Basic {basic}")
    assert (answer["key"], answer["query"]) == (secret, {"token": secret})


async def test_headers_are_texts_and_may_hold_what_an_earlier_call_gave(server: Loopback) -> None:
    text = """
mode: hybrid
base_url: ${URL}
endpoints:
  - {name: login, url: "/login/1?version=1.10", response_key: query.version}
  - name: next
    url: /next/1
    depends_on: [login]
    headers: {Authorization: "Bearer {login}", X-Number: 1.10}
"""
    assert (await run(server, text))["next"]["auth"] == "Bearer 1.10"


@pytest.mark.parametrize("kind", ["yaml", "python"])
def test_the_starter_is_a_flow(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / ("flow.yaml" if kind == "yaml" else "flow.py")
    path.write_text(starter(kind))
    orchestrator = resolve_flow(str(path))
    assert [endpoint.name for endpoint in orchestrator.flow.endpoints()] == ["user", "orders", "reward"]
    assert not worst_case(orchestrator).warnings
