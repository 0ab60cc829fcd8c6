"""YAML by the rules of version 1.2, within limits: it cannot run code or blow up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    import yaml

__all__ = ["bounded", "yaml_loader"]

_FLOAT: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"


def yaml_loader() -> type[Any]:
    """A safe loader by the rules of YAML 1.2: ``on`` is a text, and so is ``2026-01-31``."""
    import yaml

    base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc] # written in C where PyYAML was built with libyaml
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - that is how PyYAML has it

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""]
    )
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
    )
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), [*"-0123456789"]
    )
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^{_FLOAT}$"), [*"-0123456789"])
    return Loader


def bounded(node: yaml.Node, name: str, most: int) -> None:
    """Refuses aliases by which few lines mean millions of values, and those that lead into themselves.

    Args:
        node: The top of the document.
        name: Of the file, for the message.
        most: Values that it may have once its aliases are followed.

    Raises:
        ApiConfigurationError: It has more, or is a part of itself.
    """
    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(each: Any) -> int:
        key = id(each)
        if key in under_way:
            raise ApiConfigurationError(f"{name}: an alias leads into itself")
        if key not in sizes:
            under_way.add(key)
            children = each.value if isinstance(each.value, list) else ()
            total = 1 + sum(sum(map(size, c)) if isinstance(c, tuple) else size(c) for c in children)
            under_way.discard(key)
            if total > most:
                raise ApiConfigurationError(f"{name}: more than {most} values")
            sizes[key] = total
        return sizes[key]

    size(node)
