"""A set of endpoints as a Python module: its models as classes, its operations as declarations."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from rxorch.endpoint.values import MISSING
from rxorch.openapi.bodies import RequestBody
from rxorch.openapi.building import EndpointMaker
from rxorch.openapi.folding import fold
from rxorch.openapi.names import Names, placeholder_name
from rxorch.openapi.operations import Operation
from rxorch.openapi.parameters import Parameter, style_of
from rxorch.openapi.type_source import TypeSource, literal, prose

__all__ = ["module_source"]

_TAKEN: Final = (
    *("DescribedModel", "Field", "ConfigDict", "Annotated", "Any", "Literal", "UUID"),
    *("BASE_URL", "body", "cookie", "header", "operation", "path", "query", "int", "str", "float", "bool"),
    *("list", "dict", "bytes", "frozenset", "annotations"),
)


def module_source(operations: Iterable[Operation], maker: EndpointMaker, *, title: str, source: str) -> str:
    """Return the source of a module that declares endpoints.

    Args:
        operations: of the description.
        maker: knows their types.
        title: of the API.
        source: name of the file that the description came from.
    """
    chosen = list(operations)
    types = TypeSource(_TAKEN)
    names = Names()
    for taken in _TAKEN:
        names.free(taken)
    base = _base(each.url for each in chosen)
    declarations = [_declaration(each, maker, types, names, base) for each in chosen]
    classes = list(types.classes())
    parts = [
        f'"""{_one_line(title) or "Endpoints"}: made by ``rxorch import-openapi {_one_line(source)}``."""',
        "from __future__ import annotations",
        *_imports(types, declarations),
        *([f"BASE_URL = {literal(base)}"] if base else []),
    ]
    head = "\n\n".join(parts)
    body = "".join(f"\n\n\n{each}" for each in classes)
    return f"{head}{body}\n\n\n" + "\n\n".join(declarations) + "\n"


def _imports(types: TypeSource, declarations: list[str]) -> list[str]:
    text = "\n".join(declarations)
    used = {
        ("rxorch.openapi", each)
        for each in ("body", "cookie", "header", "path", "query")
        if f"{each}(" in text
    }
    needed = types.imports | used | {("rxorch.openapi", "operation")}
    blocks = []
    for modules in (("typing", "uuid"), ("pydantic", "rxorch.openapi")):
        standard = modules[0] == "typing"
        lines = (
            ["import datetime as _dt"] if standard and any(each == "datetime" for each, _ in needed) else []
        )
        for module in modules:
            names = sorted((name for where, name in needed if where == module), key=_order)
            if names:
                line = f"from {module} import {', '.join(names)}"
                many = ",\n    ".join(names)
                lines.append(line if len(line) <= 88 else f"from {module} import (\n    {many},\n)")
        if lines:
            blocks.append("\n".join(lines))
    return blocks


def _order(name: str) -> tuple[int, str]:
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def _base(urls: Iterable[str]) -> str:
    """The beginning that most urls share: scheme, host and the first part of the path."""
    counts = Counter(match.group() for match in (re.match(r"https?://[^/{}]+", url) for url in urls) if match)
    return counts.most_common(1)[0][0] if counts else ""


def _declaration(
    operation: Operation, maker: EndpointMaker, types: TypeSource, names: Names, base: str
) -> str:
    name = names.free(_variable(operation.name))
    rest = operation.url.removeprefix(base)
    url = f"BASE_URL + {literal(rest)}" if base and rest != operation.url else literal(operation.url)
    arguments = [literal(operation.name), literal(operation.method), url]
    arguments += [_parameter(each, types) for each in maker.parameters(operation)]
    body = maker.body(operation)
    if body is not None:
        arguments.append(f"body={_body(body, types)}")
    answer = maker.answer(operation)
    if answer is not None:
        arguments.append(f"model={types.text(answer)}")
    accept = maker.accept(operation)
    if accept is not None:
        arguments.append(f"accept={literal(accept)}")
    comment = f"# {_one_line(operation.summary)}\n" if operation.summary else ""
    return comment + fold(f"{name} = operation({', '.join(arguments)})")


def _parameter(parameter: Parameter, types: TypeSource) -> str:
    arguments = [literal(parameter.name), types.text(parameter.kind)]
    style = style_of(parameter.place, None)
    explode = parameter.style in ("form", "deepObject")
    optional: dict[str, tuple[Any, Any]] = {
        "style": (parameter.style, style),
        "explode": (parameter.explode, explode),
        "as_json": (parameter.as_json, False),
        "key": (parameter.key, parameter.name),
        "placeholder": (parameter.placeholder, placeholder_name(parameter.name)),
    }
    if parameter.required and parameter.place != "path":
        arguments.append("required=True")
    in_template = parameter.place in ("path", "header")
    arguments += [
        f"{name}={literal(value)}"
        for name, (value, usual) in optional.items()
        if value != usual and (in_template or name != "placeholder")
    ]
    if parameter.stand_in is not MISSING:
        arguments.append(f"stand_in={literal(parameter.stand_in)}")
    return f"{parameter.place}({', '.join(arguments)})"


def _body(body: RequestBody, types: TypeSource) -> str:
    arguments = [types.text(body.kind)]
    if not body.required:
        arguments.append("required=False")
    if body.media_type != "application/json":
        arguments.append(f"media_type={literal(body.media_type)}")
    if body.encoding and body.form == "form":
        arguments.append(f"encoding={literal(dict(body.encoding))}")
    return f"body({', '.join(arguments)})"


def _variable(name: str) -> str:
    """``getUserById`` and ``repos/get-content`` as names of variables."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    made = re.sub(r"_+", "_", re.sub(r"\W", "_", words, flags=re.ASCII)).strip("_").lower()
    made = made if made and not made[0].isdigit() else f"operation_{made}"
    return f"{made}_" if keyword.iskeyword(made) else made


def _one_line(text: str) -> str:
    clean = prose(text).replace("\\", "/").replace('"', "'")
    return clean if len(clean) <= 90 else f"{clean[:87]}..."
