"""TLS contexts from files: a server's, whose renewed certificate is taken up while it runs, and its clients'."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError
from shared.settings import ListenSettings

log = logging.getLogger(__name__)

_State = tuple[int, int, int, int]

LOOK_SECONDS: Final = 10.0
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


class ServerCertificate:
    """A service's certificate and key; `context` always holds the last pair that fitted together."""

    def __init__(self, certificate: Path, key: Path, section: str) -> None:
        self._certificate = certificate
        self._key = key
        try:
            self._seen = self._state()
            self.context = self._load()
        except (OSError, ValueError) as error:
            files = f'tls_certificate = "{certificate}", tls_key = "{key}"'
            raise ConfigurationError(f"[{section}] {files}: {_describe(error)}") from error

    @classmethod
    def of(cls, listen: ListenSettings, section: str) -> ServerCertificate | None:
        """Return the certificate of a service, or None where it speaks plaintext."""
        if listen.tls_certificate is None or listen.tls_key is None:
            return None
        return cls(listen.tls_certificate, listen.tls_key, section)

    async def look(self) -> None:
        """Take up the files when they changed and fit together; new connections get the new certificate."""
        try:
            state = self._state()
            if state == self._seen:
                return
            self._seen = state
            self._load()  # a pair that does not fit would spoil the context in use
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ValueError) as error:
            log.warning("certificate not renewed", extra={"file": str(self._certificate), "detail": _describe(error)})
        else:
            log.info("certificate renewed", extra={"file": str(self._certificate)})

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        return context

    def _state(self) -> _State:
        certificate, key = self._certificate.stat(), self._key.stat()
        return certificate.st_mtime_ns, certificate.st_ino, key.st_mtime_ns, key.st_ino


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks the peers' certificates and host names; raise ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f'[tls] ca_file = "{ca_file}": {_describe(error)}') from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def own_context(certificate: Path) -> ssl.SSLContext:
    """Return a context for this machine's own service: it must have this certificate, whatever name it was asked by.

    Raises ConfigurationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        chain = certificate.read_text(encoding="utf-8")
        context.load_verify_locations(cadata=_BEGIN + chain.partition(_BEGIN)[2].partition(_END)[0] + _END)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f'tls_certificate = "{certificate}": {_describe(error)}') from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password() -> str:
    """Refuse to ask at a terminal that is not there."""
    raise ValueError("the key is protected by a password")


def _describe(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if isinstance(error, ssl.SSLError):
        return f"not usable as PEM: {error.reason or error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
