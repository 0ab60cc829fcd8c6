"""Orchestrations in YAML, run against a real server."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxorch import ApiConfigurationError, APIOrchestrator, OrchestrationMode
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


# -- what it can say -----------------------------------------------------------------------------------


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


# -- what is wrong, and where --------------------------------------------------------------------------

ENDPOINT = '- {name: a, url: "http://x.test/a"'


def one(more: str) -> str:
    """A flow with one endpoint, which has more fields."""
    return f"endpoints:\n  {ENDPOINT}{more}}}\n"


def problems(text: str, **variables: str) -> list[str]:
    with pytest.raises(FlowFileError) as refused:
        load_flow(text=text, variables=variables)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: a flow is a mapping with endpoints in it"),
        ("[1]", "1:1: a flow is a mapping with endpoints in it"),
        ("a: [", "2:1: it is no YAML"),
        ("a: 1\nb: @x\n", "2:4: it is no YAML: found character"),
        ("a: &a [*a]\n", "1:1: an alias leads into itself"),
        ("mode: 1\nmode: 2\n", "2:1: mode: this key stands here twice"),
        ("endpoints: 7\n", "1:12: endpoints: give a list of endpoints and groups"),
        ("endpoints:\n  - 7\n", "2:5: endpoints[0]: give an endpoint"),
        ("endpoints:\n  - {name: a}\n", "2:5: endpoints[0]: url is missing"),
        ("max_concurrent: 0\n", "1:17: max_concurrent: greater than or equal to 1"),
        ("mode: fast\n", "1:7: mode: 'sequential'"),
        ("max_concurent: 3\n", "1:16: max_concurent: unknown field; did you mean 'max_concurrent'?"),
        ("rate: lots\n", "1:7: rate: a rate is a number and a time"),
        ("rate: 0.5/s\n", "1:7: rate: the number is a whole one here"),
        ("base_url: ftp://x\n", "1:11: base_url: give an absolute http or https url"),
        ("defaults: 7\n", "1:11: defaults: give a mapping"),
        ("defaults:\n  url: x\n", "2:8: defaults.url: it is of one endpoint"),
        ("defaults:\n  timeot: 3\n" + one(""), "2:11: defaults.timeot: unknown field; did you"),
        (one(", retry_count: -1"), "2:52: endpoints[0].retry_count: greater than or"),
        (one(", model: User"), "2:46: endpoints[0].model: it is a Python type"),
        (one(", condition: 'a[['"), "2:50: endpoints[0].condition: 'a[[' is neither"),
        (one(", condition: 7"), "2:50: endpoints[0].condition: give a JMESPath"),
        (one(", retry: {max_attempts: 0}"), "2:61: endpoints[0].retry.max_attempts: give a whole"),
        (one(", retry: {attempts: 1}"), "2:57: endpoints[0].retry.attempts: unknown field; did you mean 'max_attempts'?"),  # noqa: E501
        (one(", circuit_breaker: 5"), "2:56: endpoints[0].circuit_breaker: give a mapping"),
        (one(", url2: '${NO}'"), "2:45: endpoints[0].url2: the variable NO is not set; set it"),
        (one(", name2: '${NO:?because}'"), "the variable NO is not set: because"),
        (one(", timeout: '${a b}'"), "2:48: endpoints[0].timeout: ${...} names a variable"),
        (one(", timeout: '${file:none}'"), "the file 'none' cannot be read: No such file"),
        (one(", auth: {bearer: abc}"), "a secret does not stand in the file"),
        (one(", auth: {basic: {user: a}}"), "endpoints[0].auth.basic: password is missing"),
        (one(", auth: {token: a}"), "endpoints[0].auth: give one of bearer, basic"),
        (one(", headers: {Authorization: Bearer x}"), "a secret does not stand in the file"),
        (one(", params: {api_key: x}"), "a secret does not stand in the file"),
        (one(", depends_on: [b]"), "2:39: endpoints[0].depends_on: endpoint 'a': depends_on names"),
        (one("") + f"  {ENDPOINT}}}\n", "3:12: endpoints[1].name: two endpoints are called 'a'"),
        ("endpoints:\n  - {name: a, url: 'http://x.test/{b.c}'}\n", "2:20: endpoints[0].url: endpoint 'a', url: nothing"),  # noqa: E501
        ("endpoints:\n  - {parallel: [], timeout: 3}\n", "endpoints[0].timeout: an endpoint has no groups"),
        ("endpoints:\n  - {parallel: [], max_concurrent: 0}\n", "2:36: endpoints[0].max_concurrent: max_concurrent must be"),  # noqa: E501
        ("endpoints:\n  - {conditional: {if: x}}\n", "endpoints[0].conditional: give a mapping with if, then"),  # noqa: E501
        ("endpoints:\n  - {conditional: {if: '[', then: 7}}\n", "endpoints[0].conditional.if: '[' is neither"),  # noqa: E501
        ("result_merger: '['\n", "1:16: result_merger: '[' is neither"),
        ("x: !!python/object:os.system 1\n", "the tag 'tag:yaml.org,2002:python/object:os.system' means nothing"),  # noqa: E501
        ("? [1]\n: 2\n", "1:3: ?: a key is a text"),
        ("x: !!python/object:os.system [1]\n", "1:4: x: the tag 'tag:yaml.org,2002:python/object:os.system' means nothing"),  # noqa: E501
        ("max_concurrent: !!int many\n", "1:17: max_concurrent: it has the tag of a int"),
        ("fail_fast: !!bool perhaps\n", "1:12: fail_fast: it has the tag of a bool"),
        ("a: 1\nb: 'x\0'\n", "2:6: it is no YAML: it has control characters"),
        ("a: 1\n---\nb: 2\n", "2:1: it is no YAML: expected a single document in the stream, but found another"),  # noqa: E501
        ("rate: " + "9" * 400 + "/s\n", "1:7: rate: a rate is more than nothing"),
        ("rate: 5/s\nglobal_rate_limit: 3\n", "1:7: rate: stands in the place of global_rate_limit"),
        (one(", headers: {X-A: '${TOKEN'}"), "2:54: endpoints[0].headers.X-A: ${...} names a variable"),
        (one(", headers: {X-A: '${TOKEN:-{id}}'}"), "2:54: endpoints[0].headers.X-A: ${...} names a variable"),  # noqa: E501
        (one(", auth: {bearer: p$$word}"), "2:54: endpoints[0].auth.bearer: a secret does not stand"),
        (one(", auth: {bearer: 12345}"), "2:54: endpoints[0].auth.bearer: a secret does not stand"),
        (one(", <<: [{timeout: 1}, 7]"), "endpoints[0].<<: what is merged is a mapping"),
        (one(", rate: 5/s, rate_limit: 3"), "2:45: endpoints[0].rate: stands in the place of rate_limit"),
        (one(", rate_limiter: {rate: x}"), "2:60: endpoints[0].rate_limiter.rate: a rate is a number"),
        (one(", rate_limiter: {rate: 1/s, window: 3}"), "2:73: endpoints[0].rate_limiter.window: stands in rate"),  # noqa: E501
        (one(", rate_limiter: {}"), "2:39: endpoints[0].rate_limiter: rate_limit is missing"),
        (one(", circuit_breaker: {kind: x}"), "2:63: endpoints[0].circuit_breaker.kind: give one of"),
        (one(", follow_redirects: {hops: 3}"), "2:64: endpoints[0].follow_redirects.hops: unknown field"),
        (one(", condition: lenght(a)"), "2:50: endpoints[0].condition: JMESPath has no function lenght(); did you mean length()?"),  # noqa: E501
        ("endpoints:\n  - {name: a, url: /a}\n", "2:20: endpoints[0].url: it begins with a slash, and no base_url"),  # noqa: E501
        ("endpoints:\n  - {name: a, url: 'http://x.test/?api_key=abc'}\n", "2:20: endpoints[0].url: a secret does not"),  # noqa: E501
        ("mode: hybrid\nendpoints:\n  - {name: a, url: 'http://x.test/', depends_on: [b]}\n  - {name: b, url: 'http://x.test/', depends_on: [a]}\n", "3:38: endpoints[0].depends_on: depends_on is circular"),  # noqa: E501
    ],
)  # fmt: skip
def test_the_place_of_what_is_wrong(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_all_of_it_is_told_at_once_in_the_order_of_the_file() -> None:
    text = f"modes: x\nmax_concurrent: 0\nendpoints:\n  {ENDPOINT}, timeout: -1}}\n  {ENDPOINT}}}\n"
    assert [problem.split(": ")[:2] for problem in problems(text)] == [
        ["1:8", "modes"],
        ["2:17", "max_concurrent"],
        ["4:48", "endpoints[0].timeout"],
        ["5:12", "endpoints[1].name"],
    ]


def test_what_cannot_be_read_hides_nothing_else_of_its_endpoint() -> None:
    text = "endpoints:\n  - {condition: '[', timeout: -1, rate: x, name: a, url: 'http://x.test/{a b}'}\n"
    assert [problem.split(": ")[1] for problem in problems(text)] == [
        "endpoints[0].condition",
        "endpoints[0].timeout",
        "endpoints[0].rate",
        "endpoints[0].url",
    ]
    assert problems("endpoints:\n  - {condition: '['}\n") == [
        "2:5: endpoints[0]: name is missing",
        "2:5: endpoints[0]: url is missing",
        "2:17: endpoints[0].condition: '[' is neither a dotted path nor a valid JMESPath expression",
    ]


def test_what_comes_of_a_fault_is_not_told_again() -> None:
    text = "defaults: {timeot: 3}\nendpoints:\n  - {name: a, url: '${NO}/a'}\n  - {name: b, url: '${NO}/b'}\n"
    assert [problem.split(": ")[1] for problem in problems(text)] == [
        "defaults.timeot",
        "endpoints[0].url",
        "endpoints[1].url",
    ]
    assert len(problems_of("\n".join(f"k{n}: 1" for n in range(5000)))) == 100


def test_its_error_names_the_file_and_survives_pickling(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("mode: 7\nrate: x\n")
    with pytest.raises(FlowFileError) as refused:
        resolve_flow(str(path))
    error = pickle.loads(pickle.dumps(refused.value))
    assert str(error) == str(refused.value) and error.problems == refused.value.problems
    assert str(error).splitlines()[1].startswith(f"{path}:2:7: rate: ")
    many = "\n".join(f"x{n}: 1" for n in range(50))
    assert "and 30 more" in str(FlowFileError("f", [*problems_of(many)]))


def problems_of(text: str) -> Any:
    with pytest.raises(FlowFileError) as refused:
        load_flow(text=text)
    return refused.value.problems


@pytest.mark.parametrize("secret", ["hunter2"])
def test_no_secret_is_told(secret: str) -> None:
    told = problems(
        "endpoints:\n"
        "  - {name: a, url: '${S}', timeout: '${S}', auth: {basic: {user: 'a:b', password: '${S}'}}, "
        "headers: {X-A: '${S}', Authorization: '${S}\n'}, retry: {base: '${S}'}, method: '${S} x'}\n",
        S=secret,
    )
    assert told and not any(secret in problem for problem in told)


def test_limits(tmp_path: Path) -> None:
    bomb = (
        "a: &a ["
        + ",".join(["x"] * 100)
        + "]\n"
        + "b: &b ["
        + ",".join(["*a"] * 100)
        + "]\nc: ["
        + ",".join(["*b"] * 100)
        + "]\n"
    )
    assert problems(bomb) == ["1:1: more than 100000 values"]
    assert "nest" in problems("a: " + "[" * 3000 + "]" * 3000)[0]
    assert "nested deeper than 100 levels" in problems("a: " + "[" * 150 + "]" * 150)[0]
    assert problems("# " + "x" * 9_000_000) == ["1:1: it is larger than 8 MiB"]
    with pytest.raises(ApiConfigurationError, match="cannot be read: No such file"):
        load_flow(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(ApiConfigurationError, match="is no UTF-8 text"):
        load_flow(tmp_path / "latin.yaml")
    with pytest.raises(ApiConfigurationError, match="give a path, or text="):
        load_flow()
