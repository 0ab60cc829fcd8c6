"""From security schemes to our credentials. All that this package knows of them is in this file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import SecretStr
from yarl import URL

from rxorch.endpoint.auth import AllAuth, ApiKeyAuth, Auth, BasicAuth, BearerAuth
from rxorch.errors import ApiConfigurationError
from rxorch.http.request import Request
from rxorch.openapi.document import Document, Raw
from rxorch.openapi.servers import origin_of

__all__ = ["Security", "SecurityScheme"]

Kind = Literal["bearer", "basic", "api key", "oauth2", "other"]


@dataclass(frozen=True, slots=True)
class SecurityScheme:
    """A way to say who is asking.

    Attributes:
        name: in the description; the key in ``credentials``.
        kind: ``"bearer"``, ``"basic"``, ``"api key"``, ``"oauth2"`` (OpenID Connect too) or ``"other"``.
        place: of an api key: ``"header"``, ``"query"`` or ``"cookie"``.
        parameter: name of the header, parameter or cookie of an api key.
        token_url: of OAuth 2 with client credentials.
        scopes: of OAuth 2, with what each allows.
        description: text of the description.
    """

    name: str
    kind: Kind
    place: str = ""
    parameter: str = ""
    token_url: str = ""
    scopes: tuple[tuple[str, str], ...] = ()
    description: str = ""


class Security:
    """The schemes of a description, and the credentials that were given for them.

    Args:
        document: the description.
        credentials: names of schemes to a secret, or what gets it; for basic ``(user, password)``, for the
            client credentials of OAuth 2 ``(id, secret)``; or an ``Auth``.
        require: whether an operation whose credentials are missing is an error.
        origins: the only ones (scheme, host, port) whose operations get credentials.

    Raises:
        ApiConfigurationError: credentials for a scheme that there is not, or of the wrong kind.
    """

    def __init__(
        self,
        document: Document,
        credentials: Mapping[str, Any] | None,
        *,
        require: bool,
        origins: Collection[URL],
    ) -> None:
        self._origins = frozenset(origins)
        self.schemes = {
            str(name): _scheme(document, str(name), document.resolve(raw))
            for name, raw in document.components("securitySchemes").items()
        }
        self._default = document.raw.get("security")
        self._require = require
        self._given: dict[str, Auth] = {}
        for name, value in (credentials or {}).items():
            if name not in self.schemes:
                raise ApiConfigurationError(
                    f"credentials: no security scheme {name!r}; there are {', '.join(self.schemes) or 'none'}"
                )
            self._given[name] = value if isinstance(value, Auth) else _auth(self.schemes[name], value)

    def requirement(self, operation: Raw) -> list[list[str]]:
        """Return what an operation needs: any one of some lists of schemes, and of that list all."""
        given = operation.get("security", self._default)
        listed = given if isinstance(given, list) else []
        return [[str(name) for name in each] for each in listed if isinstance(each, Mapping)]

    def auth(self, operation: Raw, name: str, url: str) -> Auth | None:
        """Return the credentials for an operation: those of the first alternative that were all given.

        None where it needs none, where they were not given (the client may have some of its own), or where
        its server is none that credentials go to.

        Args:
            operation: as it was written.
            name: of its endpoint.
            url: that it is called at.

        Raises:
            ApiConfigurationError: they are required, and were not given or may not go to its server.
        """
        alternatives = self.requirement(operation)
        for names in alternatives:
            if names and all(each in self._given for each in names):
                if origin_of(url) not in self._origins:
                    self._not_there(name, url)
                    return None
                found = [self._given[each] for each in names]
                cookies = [each for each in found if isinstance(each, _CookieAuth)]
                if len(cookies) > 1:  # they share one header
                    joined = _CookieAuth([pair for each in cookies for pair in each.pairs])
                    found = [each for each in found if not isinstance(each, _CookieAuth)] + [joined]
                return found[0] if len(found) == 1 else AllAuth(*found)
        if self._require and alternatives and all(alternatives):
            needed = " or ".join(" with ".join(map(repr, names)) for names in alternatives)
            raise ApiConfigurationError(f"credentials: endpoint {name!r} needs those of {needed}")
        return None

    def _not_there(self, name: str, url: str) -> None:
        if self._require:
            raise ApiConfigurationError(
                f"credentials: endpoint {name!r} is on another server; if they may go there, give "
                f"credential_origins=[{str(origin_of(url))!r}]"
            )


def _scheme(document: Document, name: str, raw: Any) -> SecurityScheme:
    from pydantic import ValidationError

    try:
        read = document.kinds.SecurityScheme.model_validate(raw)
    except ValidationError:
        return SecurityScheme(name, "other")
    description = read.description or ""
    if read.type == "apiKey":
        place, parameter = read.security_scheme_in or "header", read.name or ""
        return SecurityScheme(name, "api key", place, parameter, description=description)
    if read.type == "http":
        kind = {"bearer": "bearer", "basic": "basic"}.get((read.scheme or "").lower(), "other")
        return SecurityScheme(name, kind, description=description)  # type: ignore[arg-type]
    if read.type in ("oauth2", "openIdConnect"):
        flows = read.flows
        found = (
            []
            if flows is None
            else [flows.clientCredentials, flows.authorizationCode, flows.password, flows.implicit]
        )
        flow = next((each for each in found if each is not None), None)
        return SecurityScheme(
            name,
            "oauth2",
            token_url=str(flows.clientCredentials.tokenUrl or "")
            if flows and flows.clientCredentials
            else "",
            scopes=tuple((getattr(flow, "scopes", None) or {}).items()),
            description=description,
        )
    return SecurityScheme(name, "other", description=description)


def _auth(scheme: SecurityScheme, secret: Any) -> Auth:
    """Our credentials for a secret: a token or key, user and password, client id and client secret."""
    pair = secret if isinstance(secret, tuple | list) and len(secret) == 2 else None
    if scheme.kind == "basic":
        if pair is None:
            raise ApiConfigurationError(f"credentials: {scheme.name!r} is a pair (user, password)")
        return BasicAuth(*pair)
    if scheme.kind == "oauth2" and pair is not None and scheme.token_url:
        from rxorch.client.oauth2 import OAuth2ClientCredentials

        return OAuth2ClientCredentials(scheme.token_url, *pair)
    if not (isinstance(secret, str | SecretStr) or callable(secret)):
        raise ApiConfigurationError(f"credentials: {scheme.name!r} is a text, or an Auth such as BearerAuth")
    if scheme.kind in ("bearer", "oauth2"):
        return BearerAuth(secret)
    if scheme.kind == "api key":
        return _api_key(scheme, secret)
    raise ApiConfigurationError(
        f"credentials: {scheme.name!r} is no scheme that is known here; give an Auth for it"
    )


def _api_key(scheme: SecurityScheme, secret: Any) -> Auth:
    if scheme.place != "cookie":
        return ApiKeyAuth(scheme.parameter, secret, "query" if scheme.place == "query" else "header")
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    if not isinstance(text, str):
        raise ApiConfigurationError(f"credentials: {scheme.name!r} is a cookie, whose value is a text")
    for part in (scheme.parameter, text):
        if not part.isascii() or not part.isprintable() or any(each in part for each in ' ",;\\'):
            raise ApiConfigurationError(f"credentials: {scheme.name!r} has what a cookie cannot have")
    return _CookieAuth([(scheme.parameter, text)])


class _CookieAuth(ApiKeyAuth):
    """Secrets in cookies, beside the cookies that a request has already."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__("Cookie", "; ".join(f"{name}={text}" for name, text in pairs))
        self.pairs = pairs

    def put(self, request: Request, token: str) -> None:
        ours = {name for name, _ in self.pairs}
        given = [text for title, text in request.headers.items() if title.lower() == "cookie"]
        kept = [
            each
            for each in "; ".join(given).split("; ")
            if each and each.partition("=")[0].strip() not in ours
        ]
        super().put(request, "; ".join([*kept, token]))
