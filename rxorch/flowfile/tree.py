"""Tree: the values of a flow file, each with its line and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rxorch.errors import ApiConfigurationError
from rxorch.flowfile.environment import Environment
from rxorch.flowfile.errors import FlowFileError, Problem
from rxorch.yaml_reading import bounded, yaml_loader

if TYPE_CHECKING:
    import yaml

__all__ = ["MAX_BYTES", "Path", "Tree", "place_of"]

Path: TypeAlias = tuple[str | int, ...]

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_VALUES: Final = 100_000
MAX_DEPTH: Final = 100
MAX_PROBLEMS: Final = 100
MAX_NUMBER: Final = 1_000


_QUOTED: Final = 20
"""Characters by which a message is known to quote a text that variables stand in."""

_TAG: Final = "tag:yaml.org,2002:"
_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "null": lambda text: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": int,
    "float": float,
}


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
        literals: Paths of values in which no variable stands.
        texts: What stands in the file, variables replaced, for numbers, booleans and null: `1.10` where the
            value is 1.1.
        problems: What is wrong so far; see `fail` and `finish`.

    Raises:
        FlowFileError: It is no YAML, or beyond the limits.
    """

    def __init__(self, text: str, name: str, environment: Environment) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._told: set[tuple[int, int, str, str]] = set()
        self.literals: set[Path] = set()
        self.texts: dict[Path, str] = {}
        self._filled: dict[Path, str] = {}
        self._environment = environment
        self._marks: dict[Path, tuple[int, int]] = {(): (1, 1)}
        if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
            self.fail((), f"it is larger than {MAX_BYTES // 1024 // 1024} MiB")
            self.finish()
        self.value = self._read(text)

    def fail(self, path: Path, message: str) -> None:
        """Notes what is wrong with a value, or with the nearest one around it that is in the file."""
        place = path
        while place not in self._marks:
            place = place[:-1]
        text = self._filled.get(path)
        if text and repr(text)[:_QUOTED] in message:
            message = "it does not fit, with its variables filled in"
        self._note(*self._marks[place], place_of(path), message)

    def _note(self, line: int, column: int, place: str, message: str) -> None:
        """Only the first fault of a value is told, since the others mostly come of it; fields may miss."""
        key = (line, column, place, message if message.endswith(" is missing") else "")
        if key in self._told:
            return
        self._told.add(key)
        self.problems.append(Problem(line, column, place, message))
        if len(self.problems) >= MAX_PROBLEMS:
            self.finish()

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
            said = error.problem or "it cannot be read"
            if said.startswith("but ") and error.context:
                said = f"{error.context}, {said}"
            self._note(line, column, "", f"it is no YAML: {said}")
        except yaml.reader.ReaderError:
            self._note(*_unreadable(text), "", "it is no YAML: it has control characters in it")
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
        if node.tag not in (_TAG + "seq", _TAG + "map"):
            self.fail(path, f"the tag {node.tag!r} means nothing here")
        if kind == "sequence":
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._mapping(node, path)

    def _mark(self, path: Path, node: yaml.Node) -> None:
        self._marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merges: list[yaml.Node] = []
        for key_node, value_node in node.value:
            key, place = key_node.value, (*path, key_node.value)
            if key_node.id != "scalar":
                self._mark((*path, "?"), key_node)
                self.fail((*path, "?"), "a key is a text")
            elif key == "<<" and _is_plain(key_node):
                self._mark(place, value_node)
                merges += value_node.value if value_node.id == "sequence" else [value_node]
            elif key in pairs:
                self._mark(place, key_node)
                self.fail(place, "this key stands here twice")
            else:
                pairs[key] = (key_node, value_node)
        for key, pair in self._merged(merges, path).items():
            pairs.setdefault(key, pair)
        return {key: self._member((*path, key), *pair) for key, pair in pairs.items()}

    def _member(self, path: Path, key_node: yaml.Node, value_node: yaml.Node) -> Any:
        value = self._value(value_node, path)
        if value is None or getattr(value_node, "id", "") != "scalar":
            self._mark(path, key_node)
        return value

    def _merged(
        self, merges: list[yaml.Node], path: Path, depth: int = 0
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The pairs of mappings behind `<<`; of two for a key the first holds."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for node in merges:
            if getattr(node, "id", "") != "mapping" or depth > MAX_DEPTH:
                self.fail((*path, "<<"), "what is merged is a mapping")
                continue
            inner: list[yaml.Node] = []
            for key_node, value_node in node.value:
                if key_node.id == "scalar" and key_node.value == "<<" and _is_plain(key_node):
                    inner += value_node.value if value_node.id == "sequence" else [value_node]
                elif key_node.id == "scalar":
                    found.setdefault(key_node.value, (key_node, value_node))
            for key, pair in self._merged(inner, path, depth + 1).items() if inner else ():
                found.setdefault(key, pair)
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text: str = node.value
        if "$" not in text or node.tag != "tag:yaml.org,2002:str":
            self.literals.add(path)
            return self._typed(node.tag, text, path)
        try:
            found, kind = self._environment.expand(text)
        except ApiConfigurationError as error:
            self.fail(path, error.message)
            return ""
        if kind == "literal":
            self.literals.add(path)
        else:
            self._filled[path] = found
        if kind == "reference" and _is_plain(node):
            tag = self._resolver.resolve(_scalar_node(), found, (True, False))
            return self._typed(tag, found, path)
        return found

    def _typed(self, tag: str, text: str, path: Path) -> Any:
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "merge"):
            return text
        self.texts[path] = text
        if kind not in _KINDS:
            self.fail(path, f"the tag {tag!r} means nothing here")
        elif len(text) > MAX_NUMBER:
            self.fail(path, "the number is too long")
        else:
            try:
                return _KINDS[kind](text)
            except (ValueError, KeyError):
                self.fail(path, f"it has the tag of a {kind}, and is none")
        return None


def _unreadable(text: str) -> tuple[int, int]:
    """Line and column of the first character that YAML does not have."""
    import yaml

    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    before = text[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _is_plain(node: yaml.Node) -> bool:
    return not getattr(node, "style", None)  # "" or None, as the parser is written in C or Python


def _scalar_node() -> type[Any]:
    import yaml

    return yaml.ScalarNode
