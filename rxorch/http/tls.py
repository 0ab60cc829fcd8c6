"""Who is trusted over https, and who we say we are."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn

from rxorch.errors import ApiConfigurationError

__all__ = ["TlsOptions"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Trust and certificates for https, from files in PEM format.

    Args:
        ca_file: certificates of those who are trusted, in the place of those that the system trusts.
        certificate: our own certificate, with those that lead up to its root; for servers that ask for one.
        key: its private key; None when it is in the file of the certificate.
        key_password: opens the key, where it is encrypted. Never shown.
        verify: False trusts every server, whatever its certificate. Who listens on the way can then read and
            change everything: it is for a test with a server of one's own.
        minimum: oldest version of TLS that is spoken, ``"1.2"`` or ``"1.3"``.

    Raises:
        ApiConfigurationError: options that make no sense together.

    Example:
        >>> TlsOptions(certificate="client.pem", key="client.key", key_password="hunter2", minimum="1.3")
        TlsOptions(ca_file=None, certificate='client.pem', key='client.key', verify=True, minimum='1.3')
        >>> TlsOptions(key="client.key")
        Traceback (most recent call last):
        ...
        rxorch.errors.ApiConfigurationError: tls: key and key_password belong to a certificate; give it too
    """

    ca_file: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    minimum: Literal["1.2", "1.3"] = "1.2"

    def __post_init__(self) -> None:
        if self.certificate is None and (self.key is not None or self.key_password is not None):
            raise ApiConfigurationError("tls: key and key_password belong to a certificate; give it too")
        if not self.verify and self.ca_file is not None:
            raise ApiConfigurationError("tls: ca_file says who is trusted, and verify=False trusts everybody")
        if self.minimum not in _VERSIONS:
            raise ApiConfigurationError('tls: minimum is "1.2" or "1.3"')

    def context(self) -> ssl.SSLContext:
        """Read the files and make a context for connections to servers.

        Raises:
            ApiConfigurationError: names a file that cannot be read, or does not hold what it should.
        """
        context = self._trusting()
        context.minimum_version = _VERSIONS[self.minimum]
        context.set_alpn_protocols(["http/1.1"])
        if self.certificate is not None:
            self._identify(context, self.certificate)
        return context

    def _trusting(self) -> ssl.SSLContext:
        if self.ca_file is not None:
            _check_readable("ca_file", self.ca_file)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            _refuse("ca_file", self.ca_file, "holds no certificate in PEM format")
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _identify(self, context: ssl.SSLContext, certificate: str | os.PathLike[str]) -> None:
        _check_readable("certificate", certificate)
        if self.key is not None:
            _check_readable("key", self.key)
        key_field = "certificate" if self.key is None else "key"
        key_file = certificate if self.key is None else self.key

        asked = False

        def password() -> str:
            # Without a function of ours, OpenSSL would ask at the terminal and wait.
            nonlocal asked
            asked = True
            if self.key_password is None:
                _refuse(key_field, key_file, "has an encrypted key; give key_password")
            return self.key_password

        try:
            context.load_cert_chain(certificate, self.key, password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                _refuse(key_field, key_file, "holds a key that does not belong to the certificate")
            if asked:
                _refuse(key_field, key_file, "has a key that key_password does not open")
            _refuse("certificate", certificate, "and its key hold no certificate and key in PEM format")


def _check_readable(name: str, file: str | os.PathLike[str]) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno is not None else type(error).__name__
        _refuse(name, file, f"cannot be read: {reason}")


def _refuse(name: str, file: str | os.PathLike[str] | None, reason: str) -> NoReturn:
    raise ApiConfigurationError(f"tls: {name} {os.fspath(file or '')!r} {reason}") from None
