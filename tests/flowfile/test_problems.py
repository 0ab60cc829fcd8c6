"""What is wrong in a flow file, and where."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError
from rxorch.flowfile import FlowFileError, load_flow, resolve_flow

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


@pytest.mark.parametrize(
    "more",
    [
        "condition: \"a == '${S}' [\"",
        "transform_input: '${S}['",
        "body: {jmespath: '${S}('}",
        "rate: '${S}'",
        "headers: {'X-${S}': '${S}\0'}",
        "retry: {jitter: '${S}'}",
        "circuit_breaker: {kind: '${S}'}",
        "auth: {api_key: {name: '${S} ', value: '${S}', place: '${S}'}}",
        "auth: {oauth2: {token_url: '${S}', client_id: '${S}', client_secret: '${S}'}}",
        "depends_on: ['${S} ']",
        "stream: '${S}'",
        "response_key: '${S}['",
        "retry_on: ['${S}']",
    ],
)
def test_no_variable_is_quoted(more: str) -> None:
    text = f"endpoints:\n  - parallel: [{{name: a, url: 'http://x.test/', {more}}}]\n"
    told = problems(f"{text}    max_concurrent: '${{S}}'\n", S="canary-of-sixty-characters-" + "x" * 40)
    assert told and not any("canary" in problem for problem in told)


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
