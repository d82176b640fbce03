"""The secret with which a watched thing calls a push monitor; only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets

from monitors.models import Monitor, MonitorKind


def assign_new_token(monitor: Monitor) -> None:
    """Put a new token on the row, unsaved; its text is in `push_token`, this once."""
    monitor.push_token = secrets.token_urlsafe(32)
    monitor.push_token_hash = hash_of(monitor.push_token)


def renew_push_token(monitor: Monitor) -> str:
    """Give a push monitor a new token; the old one is refused from now on. Raises `ValueError` for
    a monitor of another kind."""
    if monitor.kind != MonitorKind.PUSH:
        raise ValueError("Only push monitors are called by a token.")
    assign_new_token(monitor)
    Monitor.objects.filter(pk=monitor.pk).update(push_token_hash=monitor.push_token_hash)
    return monitor.push_token


def hash_of(token: str) -> str:
    # Plain SHA-256: a secret of 256 random bits cannot be guessed, so a slow hash buys nothing.
    return hashlib.sha256(token.encode()).hexdigest()
