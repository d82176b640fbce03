"""Which certificate authorities are trusted."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Final

import certifi

_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)


class TrustStore:
    """A file of trusted roots: the system's (`SSL_CERT_FILE` first, Mozilla's where there are
    none) and those of `extra`, a PEM file of the operator's own.

    It is a file, not memory, because libcurl reads a file once for all connections of an engine
    and a blob anew for each, which costs 8 ms.
    """

    def __init__(self, extra: str = "") -> None:
        self._merged: str | None = None
        self.path = _public_roots()
        if extra:
            self.path = self._merge(extra)

    def close(self) -> None:
        if self._merged is not None:
            Path(self._merged).unlink(missing_ok=True)
            self._merged = None

    def _merge(self, extra: str) -> str:
        both = Path(self.path).read_bytes() + b"\n" + Path(extra).read_bytes()
        descriptor, self._merged = tempfile.mkstemp(prefix="hostmaster-roots-", suffix=".pem")
        with os.fdopen(descriptor, "wb") as merged:
            merged.write(both)
        return self._merged


def _public_roots() -> str:
    named = ssl.get_default_verify_paths().cafile  # honours SSL_CERT_FILE
    for path in (named, *_SYSTEM_BUNDLES):
        if path and Path(path).is_file():
            return path
    return certifi.where()
