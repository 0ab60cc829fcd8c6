"""What an entry of the reference shows: members of ours, plain signatures, links to what is public."""

from __future__ import annotations

import inspect
import sys
from typing import Any, get_type_hints

from docutils.nodes import Element
from public_names import is_public
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.domains.python._object import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.util.inspect import stringify_signature

__all__ = ["setup"]

HIDDEN = {
    *("model_config", "model_post_init"),  # pydantic puts them into each model
    *(
        "enter",
        "leave",
        "release",
        "session",
        "runtime",
        "runtimes",
    ),  # by which an orchestrator uses a client
    *("keep_loose", "loose_runtime", "close_unused"),
}
"""Members that are nothing for readers."""


def leave_out(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what is not for readers, and what a class inherits from other packages."""
    if name.startswith("_") or name in HIDDEN:
        return True
    function = member.fget if isinstance(member, property) else member
    origin = getattr(inspect.unwrap(function) if callable(function) else function, "__module__", None)
    return True if isinstance(origin, str) and not origin.startswith("rxorch") else None


def plain_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, text: str | None, returns: str | None
) -> tuple[str, str] | None:
    """The fields of a pydantic model with their types, without what checks them; nothing for a protocol."""
    if what != "class":
        return None
    if getattr(value, "_is_protocol", False):
        return "", ""
    if not issubclass(value, BaseModel):
        return None
    annotated = {field: info.annotation for field, info in value.model_fields.items()}
    types = get_type_hints(
        type(name, (), {"__annotations__": annotated})
    )  # without `Annotated`, at any depth
    known = inspect.signature(value)
    fields = [each.replace(annotation=types.get(each.name, Any)) for each in known.parameters.values()]
    plain = known.replace(parameters=fields, return_annotation=known.empty)
    return stringify_signature(plain, unqualified_typehints=True), ""


def leave_unlinked(app: Sphinx, env: BuildEnvironment, node: Element, inside: Element) -> Element | None:
    """Show a type of ours that is not public without a link. One that is must have its entry."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("rxorch"):
        return None
    module, _, name = target.rpartition(".")
    value = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return None if is_public(name, value) else inside


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    for listener in list(app.events.listeners["autodoc-skip-member"]):
        app.disconnect(listener.id)  # napoleon's looks at private members, and pydantic's cannot be looked at
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("missing-reference", leave_unlinked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
