"""The template of a url such as ``https://api.example.com/users/{id}/posts?q={text}``.

Compiled once per endpoint, filled from the data of each call. What a value may do depends on where it
stands: in a path it is (a part of) exactly one segment, in a query one value, in a host (a part of) one
label. It never changes the structure of the url.
"""

from __future__ import annotations

import re
from typing import Any, Final

from yarl import URL

from rxorch.endpoint._params import ParamsTemplate, encode_query
from rxorch.endpoint._placeholders import Chain, Source, TextTemplate, parse, quote_text, quoted
from rxorch.endpoint.values import CONTROL, DottedPath, UnfitValueError, text_of
from rxorch.errors import ApiConfigurationError

__all__ = ["ParamsTemplate", "Template", "TextTemplate", "absolute_url", "encode_query", "is_relative"]

_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_ANY_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_LABEL_PART: Final = re.compile(r"[A-Za-z0-9-]+")
_IP_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_SHORT: Final = 2**63
"""Whole numbers below it are text without a second thought."""
_DOTS: Final = frozenset({"", ".", ".."})


class Template:
    """The template of a url, compiled once.

    Placeholders may stand in the path, in the query and for (a part of) one label of the host. A value is
    percent-encoded so that the server reads it back exactly, and never changes the structure of the url.
    In a path the empty text, ``.``, ``..``, control characters and lone surrogates are refused. ``True``
    becomes ``true``; a container, None or a number that is not finite is refused.

    Args:
        text: an absolute ``http`` or ``https`` url without user info and fragment.
        endpoint: name for the errors.

    Raises:
        ApiConfigurationError: says what is wrong with the url, without quoting it.

    Example:
        >>> template = Template("https://api.example.com/users/{user.id}/files/{name}?q={q}")
        >>> template.fields
        ('user.id', 'name', 'q')
        >>> template.expand({"user": {"id": 7}, "name": "../a b", "q": "1&2"})
        URL('https://api.example.com/users/7/files/..%2Fa%20b?q=1%262')
    """

    __slots__ = (
        "_authority",
        "_host",
        "_path",
        "_port",
        "_query",
        "_scheme",
        "_site",
        "_source",
        "_static",
        "fields",
    )

    def __init__(self, text: str, *, endpoint: str | None = None) -> None:
        parts = parse(text, "url")
        _check_start(text)
        marked, marker = _mark(parts)
        url = _absolute(marked, marker)
        fields = [part for part in parts if isinstance(part, DottedPath)]
        self.fields = tuple(dict.fromkeys(field.text for field in fields))
        self._source = Source("url", endpoint)
        host, path, query = _unmark(url, marker, fields)
        self._host, self._path, self._query = host, path, query
        _check_host(host)
        self._scheme = url.scheme
        self._port = "" if url.explicit_port is None else f":{url.explicit_port}"
        self._authority = url.raw_authority
        # To parse a url takes longer than all the rest: a fixed site is parsed here, once.
        self._site = None if host[1] or query[0] or query[1] else url.origin()
        self._static = None if fields else url

    def expand(self, data: Any, context: Any = None, *, query: str = "") -> URL:
        """Return the url for one call.

        Args:
            data: the input of the call: a mapping, or whatever the paths lead through.
            context: looked at for what ``data`` does not have (results by name).
            query: more of the query, already encoded; appended.

        Raises:
            ApiValidationError: a value is missing or may not stand where it does; names endpoint and
                field and the keys that there are, never a value.
        """
        if self._static is not None and not query:
            return self._static
        path = self._source.fill(self._path, _segment, data, context)
        if self._site is not None and not query:
            return self._site.with_path(path, encoded=True)
        own = self._source.fill(self._query, quoted, data, context)
        return URL.build(
            scheme=self._scheme,
            authority=self._fill_host(data, context) if self._host[1] else self._authority,
            path=path,
            query_string=f"{own}&{query}" if own and query else own or query,
            encoded=True,
        )

    def _fill_host(self, data: Any, context: Any) -> str:
        host = self._source.fill(self._host, _label_part, data, context).lower()
        labels, patterns = host.split("."), _host_pattern(self._host).split(".")
        for label, pattern in zip(labels, patterns, strict=True):
            if "{" in pattern and _LABEL.fullmatch(label) is None:
                raise self._source.unfit(self._host[1][0][0], UnfitValueError("makes no valid host label"))
        if "{" in patterns[-1] and _IP_NUMBER.fullmatch(labels[-1]):
            # A host whose last label is a number is read as an IPv4 address: 2130706433 is 127.0.0.1.
            raise self._source.unfit(
                self._host[1][-1][0], UnfitValueError("turns the host into an IP address")
            )
        return host + self._port


def is_relative(text: str) -> bool:
    """Tell whether a url template is a path only, to be put behind the base url of a client."""
    return text.startswith("/") and not text.startswith("//")


def absolute_url(text: str, base_url: str | None = None) -> str:
    """Put a path behind a base url; an absolute url template stays as it is.

    Args:
        text: an absolute template, or a path.
        base_url: absolute and literal; without it a host stands there that cannot be called.

    Example:
        >>> absolute_url("/users/{id}", "https://api.example.com/v1/")
        'https://api.example.com/v1/users/{id}'
    """
    if not is_relative(text):
        return text
    base = "https://base-url.invalid" if base_url is None else base_url.rstrip("/")
    return base.replace("{", "{{").replace("}", "}}") + text


def _check_start(text: str) -> None:
    if text != text.strip() or CONTROL.search(text):
        raise ApiConfigurationError("url: white space around it, or control characters in it")
    if _SCHEME.match(text):
        return
    if _ANY_SCHEME.match(text):
        raise ApiConfigurationError("url: only http and https are supported")
    raise ApiConfigurationError(
        "url: missing scheme; write https://... (a placeholder cannot stand for it), or a path that begins "
        "with / for a client with base_url"
    )


def _mark(parts: list[str | DottedPath]) -> tuple[str, str]:
    """Put a word that occurs nowhere else in the place of each placeholder: yarl can parse that."""
    literals = "\n".join(part for part in parts if isinstance(part, str)).lower()
    salt = next(salt for salt in range(len(literals) + 1) if f"zq{salt}x" not in literals)
    marker = f"zq{salt}x"
    count = iter(range(len(parts)))
    return "".join(part if isinstance(part, str) else f"{marker}{next(count)}z" for part in parts), marker


def _absolute(marked: str, marker: str) -> URL:
    authority = re.split(r"[/?#]", marked.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        raise ApiConfigurationError("url: user info is refused; put credentials into headers")
    if marker in authority.rpartition("]")[2].partition(":")[2]:
        raise ApiConfigurationError("url: a placeholder cannot stand for the port; write it out")
    if "#" in marked:
        raise ApiConfigurationError("url: a fragment is never sent; write %23 for '#' in a value")
    try:
        url = URL(marked)
        host, _ = url.raw_host, url.port
    except ValueError:
        raise ApiConfigurationError("url: host or port is not valid") from None
    if not host:
        raise ApiConfigurationError("url: missing host")
    return url


def _unmark(url: URL, marker: str, fields: list[DottedPath]) -> list[Chain]:
    """Cut host, path and query of the parsed url at the marks."""
    cuts = [
        re.split(rf"{marker}(\d+)z", text)
        for text in (url.raw_host or "", url.raw_path, url.raw_query_string)
    ]
    if [int(number) for cut in cuts for number in cut[1::2]] != list(range(len(fields))):
        raise ApiConfigurationError("url: '..' beside a placeholder; write the path out")
    return [
        (cut[0], tuple((fields[int(n)], after) for n, after in zip(cut[1::2], cut[2::2], strict=True)))
        for cut in cuts
    ]


def _host_pattern(host: Chain) -> str:
    return host[0] + "".join("{}" + after for _, after in host[1])


def _check_host(host: Chain) -> None:
    if not host[1]:
        return
    pattern = _host_pattern(host)
    if ":" in pattern:
        raise ApiConfigurationError("url: a placeholder cannot stand in an IP address")
    last = pattern.rpartition(".")[2]
    if not last or _IP_NUMBER.fullmatch(last):
        raise ApiConfigurationError(
            "url: a host with a placeholder must end in a name, not in a number or a dot"
        )


def _segment(value: Any) -> str:
    """Encode a value for a path; the server's decoded segment is the value again."""
    kind = type(value)
    if kind is int and 0 <= value < _SHORT:
        return str(value)
    text = value if kind is str else text_of(value)
    if text.isascii() and text.isalnum():
        return text
    # A segment is its literal text and its values: it can only become '.' or '..' through one of these.
    if text in _DOTS:
        raise UnfitValueError(
            "is empty" if not text else f"is {text!r}, which leads out of its place in the path"
        )
    if CONTROL.search(text):
        raise UnfitValueError("has control characters")
    return quote_text(text)


def _label_part(value: Any) -> str:
    text = text_of(value)
    if _LABEL_PART.fullmatch(text) is None:
        raise UnfitValueError("is not one DNS label (letters, digits, hyphens)")
    return text
