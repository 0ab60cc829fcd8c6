"""`auth:` of a flow file, whose secrets come from the environment or from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rxorch.errors import ApiConfigurationError
from rxorch.flowfile.tree import Path, Tree

__all__ = ["auth_of", "refuse_literal"]

_SECRETS: Final = frozenset({"bearer", "password", "value", "client_secret", "refresh_token"})


def refuse_literal(tree: Tree, path: Path) -> None:
    """Notes a secret that stands in the file itself."""
    if path in tree.literals:
        tree.fail(path, "a secret does not stand in the file: write ${NAME} or ${file:path}")


def auth_of(tree: Tree, path: Path, given: Any) -> Any:
    """Credentials.

    `bearer: ${TOKEN}`; `basic: {user, password}`; `api_key: {name, value, place}`; `oauth2: {token_url,
    client_id, client_secret, scope, audience}`; `false`; or a list of several.
    """
    from rxorch.endpoint.auth import AllAuth

    if given is None or given is False:
        return given
    if isinstance(given, list):
        auths = [auth_of(tree, (*path, index), each) for index, each in enumerate(given)]
        return None if None in auths or not auths else AllAuth(*auths)
    kinds: dict[str, Callable[[Tree, Path, Any], Any]] = {
        "bearer": _bearer,
        "basic": _basic,
        "api_key": _api_key,
        "oauth2": _oauth2,
    }
    if not isinstance(given, Mapping) or len(given) != 1 or next(iter(given)) not in kinds:
        tree.fail(path, f"give one of {', '.join(kinds)}, or false")
        return None
    ((kind, value),) = given.items()
    before = len(tree.problems)
    try:
        made = kinds[kind](tree, (*path, kind), value)
    except (ApiConfigurationError, TypeError) as error:
        reason = error.message if isinstance(error, ApiConfigurationError) else _unknown(error)
        tree.fail((*path, kind), reason)
        return None
    return made if len(tree.problems) == before else None


def _bearer(tree: Tree, path: Path, given: Any) -> Any:
    from rxorch.endpoint.auth import BearerAuth

    refuse_literal(tree, path)
    return BearerAuth(_text(tree, path, given))


def _basic(tree: Tree, path: Path, given: Any) -> Any:
    from rxorch.endpoint.auth import BasicAuth

    return BasicAuth(**_fields(tree, path, given, "user", "password"))


def _api_key(tree: Tree, path: Path, given: Any) -> Any:
    from rxorch.endpoint.auth import ApiKeyAuth

    return ApiKeyAuth(**_fields(tree, path, given, "name", "value", optional=("place",)))


def _oauth2(tree: Tree, path: Path, given: Any) -> Any:
    from rxorch.client.oauth2 import OAuth2ClientCredentials

    optional = ("scope", "audience", "client_auth")
    return OAuth2ClientCredentials(
        **_fields(tree, path, given, "token_url", "client_id", "client_secret", optional=optional)
    )


def _fields(
    tree: Tree, path: Path, given: Any, *required: str, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ApiConfigurationError(f"give a mapping with {', '.join(required)}")
    for name in required:
        if name not in given:
            raise ApiConfigurationError(f"{name} is missing")
    for name in given:
        if name not in required and name not in optional:
            raise ApiConfigurationError(
                f"unknown field {name!r}; there are {', '.join((*required, *optional))}"
            )
        if name in _SECRETS:
            refuse_literal(tree, (*path, name))
    return {
        name: _text(tree, (*path, name), value) if name in _SECRETS else value
        for name, value in given.items()
    }


def _text(tree: Tree, path: Path, value: Any) -> str:
    text = tree.texts.get(path, value)  # a password that looks like a number stays as it is written
    if not isinstance(text, str):
        raise ApiConfigurationError("a secret is a text")
    return text


def _unknown(error: TypeError) -> str:
    return "a field has a value of the wrong kind" if "argument" not in str(error) else str(error)
