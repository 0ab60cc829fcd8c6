"""Reading a description from a file or mapping, within limits: YAML cannot run code or blow up here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rxorch.errors import ApiConfigurationError
from rxorch.yaml_reading import bounded, yaml_loader

__all__ = ["MAX_BYTES", "MAX_NODES", "load_source"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""Largest file that is read. GitHub's description, among the largest there are, has 13 MB as JSON."""

MAX_NODES: Final = 5_000_000
"""Most values that a YAML file may have once its aliases are followed."""


def load_source(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the description that a path leads to, or that is given as a mapping.

    A file that ends in ``.json`` is read as JSON, ``.yaml`` and ``.yml`` as YAML; any other as JSON if it
    begins with a brace. In YAML only ``true`` and ``false`` are booleans, dates stay texts, and keys become
    texts (``200:`` is the status ``"200"``), as OpenAPI asks for.

    Raises:
        ApiConfigurationError: no such file, larger than 32 MB, not JSON or YAML, or no mapping.
    """
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, str | Path):
        raise ApiConfigurationError(f"a description is a path or a mapping, not {type(source).__name__}")
    path = Path(source)
    content = _content(path)
    as_json = path.suffix.lower() == ".json" or (
        path.suffix.lower() not in (".yaml", ".yml") and content.lstrip()[:1] == b"{"
    )
    found = _from_json(content, path.name) if as_json else _from_yaml(content, path.name)
    if not isinstance(found, Mapping):
        raise ApiConfigurationError(f"{path.name}: not an OpenAPI description: its top is no mapping")
    return found


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid path"
        raise ApiConfigurationError(f"cannot read {path.name[:80]!r}: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ApiConfigurationError(f"{path.name}: larger than {MAX_BYTES // 1024 // 1024} MB")
    return content


def _from_json(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise ApiConfigurationError(f"{name}: nested too deeply") from None
    except ValueError as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ApiConfigurationError(f"{name}: not valid JSON{line}") from None


def _from_yaml(content: bytes, name: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ApiConfigurationError('reading YAML needs PyYAML: pip install "rxorch[openapi]"') from None
    try:
        loader = yaml_loader()(content)
        try:
            node = loader.get_single_node()
            if node is not None:
                bounded(node, name, MAX_NODES)
            return None if node is None else _texts(loader.construct_document(node))
        finally:
            loader.dispose()
    except RecursionError:
        raise ApiConfigurationError(f"{name}: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ApiConfigurationError):
            raise
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" (line {mark.line + 1})"
        raise ApiConfigurationError(f"{name}: not valid YAML{line}") from None


def _texts(value: Any) -> Any:
    """The value with all keys as texts; shared parts stay shared."""
    done: dict[int, Any] = {}

    def convert(each: Any) -> Any:
        if not isinstance(each, dict | list):
            return each
        if id(each) not in done:
            done[id(each)] = (
                {str(key): convert(child) for key, child in each.items()}
                if isinstance(each, dict)
                else [convert(child) for child in each]
            )
        return done[id(each)]

    return convert(value)
