"""Secrets at rest: AES-256-GCM, bound to the tenant, table, row and field they belong to.

A sealed value is text: `v1:` and base64url of version (1 byte) ‖ key id (8) ‖ nonce (12) ‖
ciphertext with tag. Moved to another row, field or tenant it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models
from django.views.decorators.debug import sensitive_variables

_PREFIX = "v1:"
_VERSION = b"\x01"
_KEY_ID_BYTES = 8
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_NONCE_BYTES = 12  # random 96 bits: safe up to about 2³² values a key
_TAG_BYTES = 16
_KEY = re.compile(r"[0-9A-Fa-f]{64}")

_MAKE_ONE = 'python -c "import secrets; print(secrets.token_hex(32))"'


class SealError(Exception):
    """A stored secret cannot be sealed or opened."""


class SealBrokenError(SealError):
    """A stored secret does not open: it was changed, or belongs to another row, field or tenant."""


class UnknownKeyError(SealError):
    """A stored secret was sealed under a key that is not configured."""


class EncryptionKeyError(SealError):
    """The configured encryption keys cannot be used."""


@dataclass(frozen=True)
class SealContext:
    """Where a sealed value lives: it opens nowhere else. Renaming the table or field breaks it,
    so such a migration re-seals."""

    tenant: str
    table: str
    pk: str
    field: str

    def associated_data(self, header: bytes) -> bytes:
        # A JSON list, so no part can lend characters to its neighbour.
        return header + json.dumps([self.tenant, self.table, self.pk, self.field]).encode()


class _Keyring:
    """The key that seals and all that open, by id."""

    def __init__(self, current: bytes, old: tuple[bytes, ...]) -> None:
        self.current_id = _key_id(current)
        self._ciphers = {_key_id(key): AESGCM(key) for key in (*old, current)}

    @property
    def current(self) -> AESGCM:
        return self._ciphers[self.current_id]

    def get(self, key_id: bytes) -> AESGCM:
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise UnknownKeyError(
                f"A stored secret was sealed under key {key_id.hex()}, which is not configured. "
                "Add that key to ENCRYPTION_KEYS_OLD, or enter the secret again."
            ) from None


def context_for(instance: models.Model, field_name: str) -> SealContext:
    """The context of `field_name` on a row that has its primary key and tenant.

    Raises `ValueError` for a row without one, `FieldDoesNotExist` for a field it does not have.
    """
    meta = instance._meta
    if instance.pk is None or getattr(instance, "tenant_id", None) is None:
        raise ValueError(f"{meta.label} needs a primary key and a tenant before it holds a secret.")
    return SealContext(
        tenant=_as_stored(instance, "tenant_id"),
        table=meta.db_table,
        pk=_as_stored(instance, meta.pk.attname),
        field=meta.get_field(field_name).name,
    )


def _as_stored(instance: models.Model, name: str) -> str:
    """A UUID given as text without dashes is the same row."""
    field = instance._meta.get_field(name)
    value = getattr(instance, name)
    return str(field.to_python(value) if isinstance(field, models.Field) else value)


@sensitive_variables()
def seal(value: Mapping[str, Any] | str, *, context: SealContext) -> str:
    """`value` (anything JSON holds) as a text that opens only in `context`.

    Raises `EncryptionKeyError` without a usable key.
    """
    keyring = _keyring()
    header = _VERSION + keyring.current_id
    nonce = os.urandom(_NONCE_BYTES)
    plain = json.dumps(value, separators=(",", ":")).encode()
    body = keyring.current.encrypt(nonce, plain, context.associated_data(header))
    return _PREFIX + base64.urlsafe_b64encode(header + nonce + body).decode()


@sensitive_variables()
def open(token: str, *, context: SealContext) -> Any:
    """The value sealed in `context`.

    Raises `SealBrokenError`, `UnknownKeyError` or `EncryptionKeyError`; no message holds a secret.
    """
    raw = _decode(token)
    header, nonce = raw[:_HEADER_BYTES], raw[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
    cipher = _keyring().get(header[len(_VERSION) :])
    try:
        plain = cipher.decrypt(
            nonce, raw[_HEADER_BYTES + _NONCE_BYTES :], context.associated_data(header)
        )
    except InvalidTag:
        raise SealBrokenError(
            f"The secret stored in {context.table}.{context.field} of {context.pk} does not open: "
            "it was changed, or belongs to another row, field or tenant. Enter it again."
        ) from None
    return json.loads(plain)


def current_prefix() -> str:
    """What every value sealed under the current key begins with: 9 bytes are exactly 12 characters
    of base64, so a query can tell."""
    header = _VERSION + _keyring().current_id
    return _PREFIX + base64.urlsafe_b64encode(header).decode()


def check_keys() -> None:
    """Raises `EncryptionKeyError` when the configured keys cannot be used."""
    _keyring()


def _decode(token: str) -> bytes:
    try:
        raw = base64.b64decode(
            token.removeprefix(_PREFIX).encode("ascii"), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    is_whole = len(raw) >= _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES
    if not (token.startswith(_PREFIX) and is_whole and raw.startswith(_VERSION)):
        raise SealBrokenError(
            "A stored secret is not a sealed value of this version. Enter it again."
        )
    return raw


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_KEY_ID_BYTES]


def _keyring() -> _Keyring:
    return _build_keyring(settings.ENCRYPTION_KEY, tuple(settings.ENCRYPTION_KEYS_OLD))


@lru_cache(maxsize=4)
def _build_keyring(current: str, old: tuple[str, ...]) -> _Keyring:
    return _Keyring(
        _parse_key(current, "ENCRYPTION_KEY"),
        tuple(_parse_key(key, "Each key of ENCRYPTION_KEYS_OLD") for key in old),
    )


def _parse_key(text: str, name: str) -> bytes:
    if not text:
        raise EncryptionKeyError(f"{name} is not set. Make one with {_MAKE_ONE}.")
    if not _KEY.fullmatch(text):
        raise EncryptionKeyError(
            f"{name} must be 64 hexadecimal digits. Make one with {_MAKE_ONE}."
        )
    return bytes.fromhex(text)
