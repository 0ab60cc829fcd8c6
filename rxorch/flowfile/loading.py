"""``load_flow``: an orchestration that is written in YAML."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Flow, conditional, fanout, graph, parallel, pipeline, sequential
from rxorch.flowfile import expressions
from rxorch.flowfile.endpoints import ENDPOINT_FIELDS, EndpointReader, closest, told
from rxorch.flowfile.environment import Environment
from rxorch.flowfile.rates import parse_rate
from rxorch.flowfile.tree import MAX_BYTES, Path, Tree

__all__ = ["load_flow"]

_GROUPS: Final[dict[str, Callable[..., Flow]]] = {
    "sequential": sequential,
    "parallel": parallel,
    "fanout": fanout,
    "pipeline": pipeline,
    "graph": graph,
}
_CAPPED: Final = frozenset({"parallel", "fanout", "graph"})
_CHOICE: Final = frozenset({"if", "then", "else"})

_EXPRESSIONS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "result_merger": expressions.of_value,
    "result_transformer": expressions.of_value,
    "cache_key_generator": expressions.of_key,
}
_OWN: Final = frozenset({"defaults", "base_url", "rate"})
_FIELDS: Final = frozenset(APIOrchestrationConfig.model_fields) | _OWN
_NAMED: Final = re.compile(
    r"(?:endpoint |two endpoints are called |depends_on is circular: )'([^']+)'"
    r"(?:, (\w+))?(?:: (depends_on))?"
)


def load_flow(
    path: str | os.PathLike[str] | None = None,
    *,
    text: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> APIOrchestrationConfig:
    """An orchestration from a file: YAML (1.2), or JSON. Nothing in it is code.

    It has the fields of `APIOrchestrationConfig` and, in `endpoints`, those of `APIEndpoint`, and what the
    page on flow files says: JMESPath in the place of functions, nested groups, `defaults`, `base_url`,
    `rate`, `auth`, and `${NAME}` for variables.

    Args:
        path: Of the file.
        text: Its content, in the place of a path.
        variables: What `${NAME}` stands for; by default the environment of the process.

    Raises:
        FlowFileError: Something is wrong in it; has the line and column of each thing.
        ApiConfigurationError: It cannot be read at all.

    >>> config = load_flow(
    ...     text='''
    ... mode: parallel
    ... endpoints:
    ...   - {name: user, url: "https://api.example.com/users/{id}"}
    ...   - {name: orders, url: "https://api.example.com/users/{id}/orders", condition: "id > `0`"}
    ... '''
    ... )
    >>> config.mode.name, [endpoint.name for endpoint in config.endpoints]
    ('PARALLEL', ['user', 'orders'])
    """
    if (path is None) == (text is None):
        raise ApiConfigurationError("load_flow: give a path, or text=")
    folder, name = FilePath(), "text"
    if path is not None:
        name, folder = os.fspath(path), FilePath(path).parent
        text = _content(FilePath(path))
    assert text is not None
    tree = Tree(text, name, Environment(os.environ if variables is None else variables, folder))
    return _Loader(tree).config()


def _content(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1).decode("utf-8-sig")  # one too many is refused by the tree
    except OSError as error:
        raise ApiConfigurationError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ApiConfigurationError(f"{str(path)!r} is no UTF-8 text") from None


class _Loader:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        top = tree.value
        if not isinstance(top, Mapping):
            tree.fail((), "a flow is a mapping with endpoints in it")
            tree.finish()
        self._top: Mapping[str, Any] = top
        self._reader = EndpointReader(tree, self._defaults(), self._base_url())

    def config(self) -> APIOrchestrationConfig:
        tree = self._tree
        fields: dict[str, Any] = {}
        if "rate" in self._top and "global_rate_limit" in self._top:
            tree.fail(("rate",), "stands in the place of global_rate_limit; give one of the two")
        for name, given in self._top.items():
            if name.startswith("x-"):  # a place for anchors, as Compose files have it
                continue
            if name not in _FIELDS:
                tree.fail((name,), f"unknown field{closest(name, _FIELDS)}")
                continue
            try:
                fields |= _read(name, given)
            except ApiConfigurationError as error:
                tree.fail((name,), error.message)
        fields["endpoints"] = self._members(("endpoints",), self._top.get("endpoints", []))
        self._checked(fields)
        tree.finish()
        return self._made(fields)

    def _checked(self, fields: dict[str, Any]) -> None:
        """Finds what is wrong with the fields of the config while endpoints are wrong too."""
        if self._tree.problems:
            try:
                APIOrchestrationConfig(**{**fields, "endpoints": ()})
            except ValidationError as error:
                self._told(error)

    def _made(self, fields: dict[str, Any]) -> APIOrchestrationConfig:
        try:
            return APIOrchestrationConfig(**fields)
        except ValidationError as error:
            self._told(error)
        self._tree.finish()
        raise AssertionError

    def _told(self, error: ValidationError) -> None:
        for fault in error.errors():
            loc = tuple(part for part in fault["loc"] if isinstance(part, str | int))
            message = told(fault)
            self._tree.fail(loc[:1] or self._named(message), message)

    def _named(self, message: str) -> Path:
        """Where the endpoint stands that a message is about."""
        found = _NAMED.search(message)
        if found is None or found[1] not in self._reader.paths:
            return ("endpoints",)
        field = found[2] or found[3] or ("depends_on" if message.startswith("depends_on") else None)
        return (*self._reader.paths[found[1]], field) if field else self._reader.paths[found[1]]

    def _defaults(self) -> Mapping[str, Any]:
        defaults = self._top.get("defaults") or {}
        if not isinstance(defaults, Mapping):
            self._tree.fail(("defaults",), "give a mapping of fields of endpoints")
            return {}
        for name in ("name", "url", "depends_on", "condition"):
            if name in defaults:
                self._tree.fail(("defaults", name), "it is of one endpoint, and no default")
        return {name: value for name, value in defaults.items() if name != "name"}

    def _base_url(self) -> str | None:
        base_url = self._top.get("base_url")
        if base_url is None or (isinstance(base_url, str) and re.match(r"https?://", base_url)):
            return base_url
        self._tree.fail(("base_url",), "give an absolute http or https url")
        return None

    # -- what runs -------------------------------------------------------------------------------------

    def _members(self, path: Path, given: Any) -> list[APIEndpoint | Flow]:
        if not isinstance(given, list):
            self._tree.fail(path, "give a list of endpoints and groups")
            return []
        members = [self._member((*path, index), each) for index, each in enumerate(given)]
        return [member for member in members if member is not None]

    def _member(self, path: Path, given: Any) -> APIEndpoint | Flow | None:
        if not isinstance(given, Mapping):
            self._tree.fail(path, "give an endpoint (a mapping with name and url) or a group")
            return None
        kind = next((name for name in given if name in _GROUPS or name == "conditional"), None)
        if kind is None:
            return self._reader.endpoint(path, given)
        if kind == "conditional":
            return self._choice(path, given)
        allowed = frozenset({kind, "max_concurrent"} if kind in _CAPPED else {kind})
        for name in given.keys() - allowed:
            hint = "an endpoint has no groups" if name in ENDPOINT_FIELDS else "unknown field"
            self._tree.fail(
                (*path, name),
                f"{hint}; {kind!r} stands here with {', '.join(sorted(allowed - {kind})) or 'nothing else'}",
            )
        members = self._members((*path, kind), given[kind])
        options = (
            {"max_concurrent": given["max_concurrent"]}
            if "max_concurrent" in given and kind in _CAPPED
            else {}
        )
        place = (*path, "max_concurrent") if options else path
        return self._flow(place, lambda: _GROUPS[kind](*members, **options))

    def _choice(self, path: Path, given: Mapping[str, Any]) -> Flow | None:
        place = (*path, "conditional")
        parts = given["conditional"]
        if len(given) > 1 or not isinstance(parts, Mapping) or not {"if", "then"} <= parts.keys() <= _CHOICE:
            self._tree.fail(place, "give a mapping with if, then and, if you like, else")
            return None
        before = len(self._tree.problems)
        holds: Any = None
        try:
            holds = expressions.condition(parts["if"], "if")
        except ApiConfigurationError as error:
            self._tree.fail((*place, "if"), error.message)
        then = self._member((*place, "then"), parts["then"])
        otherwise = self._member((*place, "else"), parts["else"]) if "else" in parts else None
        if len(self._tree.problems) > before or then is None:
            return None
        return self._flow(path, lambda: conditional(holds, then=then, otherwise=otherwise))

    def _flow(self, path: Path, make: Callable[[], Flow]) -> Flow | None:
        try:
            return make()
        except ApiConfigurationError as error:
            self._tree.fail(path, error.message)
            return None


def _read(name: str, given: Any) -> dict[str, Any]:
    """What a field at the top comes to."""
    if name == "rate":
        return _global_rate(given)
    if name in _EXPRESSIONS:
        return {} if given is None else {name: _EXPRESSIONS[name](given, name)}
    return {} if name in _OWN or name == "endpoints" else {name: given}


def _global_rate(given: Any) -> dict[str, Any]:
    number, window = parse_rate(given)
    if number != int(number):
        raise ApiConfigurationError("the number is a whole one here: write 1/2s and not 0.5/s")
    return {"global_rate_limit": int(number), "rate_limit_window": window}
