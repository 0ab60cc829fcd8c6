"""Names: of endpoints, models, fields and placeholders, made of what a description calls things."""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import Final

from pydantic import BaseModel

__all__ = ["Names", "class_name", "endpoint_name", "field_name", "path_name", "placeholder_name"]

_TAKEN: Final = frozenset(dir(BaseModel)) | {"nullable", "written"}


class Names:
    """Gives each name once: the second ``Pet`` becomes ``Pet_2``.

    Example:
        >>> names = Names()
        >>> names.free("Pet"), names.free("Pet")
        ('Pet', 'Pet_2')
    """

    __slots__ = ("_counts", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def free(self, wanted: str) -> str:
        """Return ``wanted``, or that with a number where it was given before."""
        name, number = wanted, self._counts.get(wanted, 1)
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._counts[wanted] = number
        self._taken.add(name)
        return name


def endpoint_name(operation_id: str) -> str:
    """Make a name of an ``operationId``: letters, digits, ``_``, ``-`` and ``.``.

    Example:
        >>> endpoint_name("repos/get content..")
        'repos_get_content'
    """
    name = re.sub(r"[^\w.-]+", "_", operation_id)
    return re.sub(r"\.{2,}", ".", name).strip("._-")


def path_name(method: str, path: str) -> str:
    """Make a name of method and path, for operations without an ``operationId``.

    Example:
        >>> path_name("GET", "/users/{id}/posts"), path_name("POST", "/")
        ('get_users_by_id_posts', 'post_root')
    """
    words = re.sub(r"\{([^{}]*)\}", r"_by_\1_", path)
    return f"{method.lower()}_{re.sub(r'[^A-Za-z0-9]+', '_', words).strip('_') or 'root'}"


def placeholder_name(name: str) -> str:
    """Make a placeholder of our url templates of a parameter's name.

    Example:
        >>> placeholder_name("user-id"), placeholder_name("filter[name]")
        ('user-id', 'filter_name_')
    """
    return re.sub(r"[\s{}\[\]!:.\x00-\x1f\x7f-\x9f]", "_", name) or "_"


def class_name(name: str) -> str:
    """Make the name of a class of any text.

    Example:
        >>> class_name("io.k8s.api.Pod"), class_name("pet-list"), class_name("3d"), class_name("None")
        ('IoK8sApiPod', 'PetList', 'Model3d', 'None_')
    """
    words = [word for word in re.split(r"[^A-Za-z0-9_]+", name) if word]
    joined = words[0] if len(words) == 1 else "".join(word[0].upper() + word[1:] for word in words)
    joined = joined.lstrip("_")
    joined = joined[:1].upper() + joined[1:]
    if not joined or not joined[0].isalpha():
        joined = f"Model{joined}"
    return f"{joined}_" if keyword.iskeyword(joined) else joined


def field_name(name: str) -> str:
    """Make the name of a field of a property's name: an identifier that shadows nothing of pydantic.

    Example:
        >>> field_name("pet-id"), field_name("class"), field_name("_links"), field_name("json")
        ('pet_id', 'class_', 'links', 'json_')
    """
    name = unicodedata.normalize("NFKC", name)  # as Python reads names
    made = (
        re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") if not name.isidentifier() else name.lstrip("_")
    )
    if not made or not (made[0].isalpha() or made[0] == "_"):
        made = f"field_{made}" if made else "field"
    return f"{made}_" if keyword.iskeyword(made) or made in _TAKEN or made.startswith("model_") else made
