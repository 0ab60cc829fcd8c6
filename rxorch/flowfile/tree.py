"""Tree: the values of a flow file, each with its line and column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rxorch.errors import ApiConfigurationError
from rxorch.flowfile.environment import Environment
from rxorch.flowfile.errors import FlowFileError, Problem
from rxorch.yaml_reading import bounded, yaml_loader

if TYPE_CHECKING:
    import yaml

__all__ = ["Path", "Tree", "place_of"]

Path: TypeAlias = tuple[str | int, ...]

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_VALUES: Final = 100_000
MAX_DEPTH: Final = 100


def place_of(path: Path) -> str:
    """A path as people write it.

    >>> place_of(("endpoints", 1, "retry", "base"))
    'endpoints[1].retry.base'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Tree:
    """A flow file as plain values, with the place of each.

    Args:
        text: YAML, of which JSON is a part.
        name: Of the file, for the messages.
        environment: What `${...}` stands for.

    Attributes:
        value: The values, with `${...}` replaced.
        literals: Paths of texts in which nothing was replaced.
        problems: What is wrong so far; see `fail` and `finish`.

    Raises:
        FlowFileError: It is no YAML, or beyond the limits.
    """

    def __init__(self, text: str, name: str, environment: Environment) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.literals: set[Path] = set()
        self._environment = environment
        self._marks: dict[Path, tuple[int, int]] = {(): (1, 1)}
        if len(text) > MAX_BYTES:
            self.fail((), f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
            self.finish()
        self.value = self._read(text)

    def fail(self, path: Path, message: str) -> None:
        """Notes what is wrong with a value, or with the nearest one around it that is in the file."""
        place = path
        while place not in self._marks:
            place = place[:-1]
        line, column = self._marks[place]
        self.problems.append(Problem(line, column, place_of(path), message))

    def finish(self) -> None:
        """Raises what was noted."""
        if self.problems:
            raise FlowFileError(self.name, self.problems)

    def _read(self, text: str) -> Any:
        try:
            import yaml
        except ModuleNotFoundError:
            raise ApiConfigurationError("a flow file needs PyYAML: pip install 'rxorch[cli]'") from None
        try:
            loader = yaml_loader()(text)
            try:
                node = loader.get_single_node()
            finally:
                loader.dispose()
            if node is None:
                return None
            bounded(node, self.name, MAX_VALUES)
            self._resolver = loader
            return self._value(node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
            self.problems.append(
                Problem(line, column, "", f"it is no YAML: {error.problem or 'it cannot be read'}")
            )
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            if isinstance(error, ApiConfigurationError):
                reason = error.message.removeprefix(f"{self.name}: ")
            else:
                reason = "it is nested too deeply" if isinstance(error, RecursionError) else "it is no YAML"
            self.fail((), reason)
        self.finish()
        raise AssertionError

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._mark(path, node)
        if len(path) > MAX_DEPTH:
            self.fail(path, f"it is nested deeper than {MAX_DEPTH} levels")
            self.finish()
        kind = getattr(node, "id", "")
        if kind == "scalar":
            return self._scalar(node, path)
        if kind == "sequence":
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._mapping(node, path)

    def _mark(self, path: Path, node: yaml.Node) -> None:
        self._marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                self._mark((*path, "?"), key_node)
                self.fail((*path, "?"), "a key is a text")
                continue
            key = key_node.value
            place = (*path, key)
            if key == "<<" and _is_plain(key_node):
                for each in value_node.value if value_node.id == "sequence" else [value_node]:
                    found = self._value(each, place)
                    if not isinstance(found, Mapping):
                        self.fail(place, "what is merged is a mapping")
                        continue
                    merged = {**found, **merged}
                    self._graft(place, path, found)
                continue
            if key in own:
                self._mark(place, key_node)
                self.fail(place, "this key stands here twice")
                continue
            own[key] = self._value(value_node, place)
            if own[key] is None or value_node.id != "scalar":
                self._mark(place, key_node)
        return {**merged, **own}

    def _graft(self, source: Path, target: Path, found: Mapping[str, Any]) -> None:
        """What is merged has its place where it is written."""
        marks = {path: mark for path, mark in self._marks.items() if path[: len(source)] == source}
        for path, mark in marks.items():
            rest = path[len(source) :]
            if rest and rest[0] in found:
                self._marks.setdefault((*target, *rest), mark)
                if path in self.literals:
                    self.literals.add((*target, *rest))

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text: str = node.value
        if "$" not in text or node.tag != "tag:yaml.org,2002:str":
            self.literals.add(path)
            return self._typed(node.tag, text, path)
        try:
            found, is_whole = self._environment.expand(text)
        except ApiConfigurationError as error:
            self.fail(path, error.message)
            return ""
        if found == text:
            self.literals.add(path)
        if is_whole and _is_plain(node):
            tag = self._resolver.resolve(_scalar_node(), found, (True, False))
            return self._typed(tag, found, path)
        return found

    def _typed(self, tag: str, text: str, path: Path) -> Any:
        kind = tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text) if len(text) < 1000 else self.fail(path, "the number is too long")
        if kind == "float":
            return float(text)
        if kind not in ("str", "merge"):
            self.fail(path, f"the tag {tag!r} means nothing here")
        return text


def _is_plain(node: yaml.Node) -> bool:
    return not getattr(node, "style", None)  # "" or None, as the parser is written in C or Python


def _scalar_node() -> type[Any]:
    import yaml

    return yaml.ScalarNode
