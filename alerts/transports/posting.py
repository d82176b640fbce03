"""One guarded POST, and what its answer means."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from alerts.transports.base import REPLY_BYTES, Config, ConfigError, Outcome, text_of
from hostmaster.core.logs import mask
from hostmaster.core.masking import MASK
from hostmaster.core.net.guard import (
    DENIED_PORTS,
    DestinationNotAllowedError,
    allowed_networks,
    is_allowed,
)
from hostmaster.core.net.http import ProxyRefusedError, guarded_session

LONGEST_URL = 2048
SHORTEST_TOKEN = 12  # of a part of a URL that is a secret by itself
REFUSING = frozenset({400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422, 431, 451, 501})
GONE = 410
TOO_MANY = 429
_ASKS_TO_WAIT = frozenset({TOO_MANY, 502, 503, 504})


def clean_url(config: Config) -> str:
    """The URL to post to. Raises `ConfigError`.

    Any host will do: people put proxies before Discord and Slack, and the guard judges the address
    that is dialled, not the name.
    """
    url = text_of(config, "url", "webhook_url")
    if not url:
        raise ConfigError("A channel of this type needs a 'url'.")
    if len(url) > LONGEST_URL:
        raise ConfigError(f"The URL is longer than {LONGEST_URL} characters.")
    if any(character <= " " or character == "\x7f" or character == "\\" for character in url):
        raise ConfigError("The URL holds a space, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("This is not a URL.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError("The URL must begin with https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("The URL must not hold a user name or password.")
    if port == 0 or port in DENIED_PORTS:
        raise ConfigError("This destination is not allowed.")
    _judge_host(host, is_plain=parts.scheme == "http")
    return url


def _judge_host(host: str, *, is_plain: bool) -> None:
    """Only what can be told without asking anybody; the guard judges again when it dials."""
    addresses = _literal(host)
    if any(not is_allowed(address) for address in addresses):
        raise ConfigError("This destination is not allowed.")
    if is_plain and not _is_opened(host, addresses):
        raise ConfigError("The URL must begin with https://.")


def _literal(host: str) -> list[str]:
    """The address that `host` itself spells, in any form a resolver reads; none for a name."""
    try:
        answers = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [str(answer[4][0]) for answer in answers]


def _is_opened(host: str, addresses: list[str]) -> bool:
    """The operator opened his networks to it: inside them plain http is his choice."""
    opened = allowed_networks()
    if not opened:
        return False
    if not addresses:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False
        addresses = [str(answer[4][0]) for answer in answers]
    # Public addresses are never opened: they are allowed without it.
    return bool(addresses) and all(
        is_allowed(address, opened) and not is_allowed(address, ()) for address in addresses
    )


def host_hint(config: Config) -> str:
    """The host alone: the path of a webhook is its password."""
    url = str(config.get("url", ""))
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…" if parts.hostname else "?"
    except ValueError:
        return "?"


def post(
    url: str,
    payload: Mapping[str, Any] | str,
    headers: Mapping[str, str],
    *,
    secrets: tuple[str, ...] = (),
) -> Outcome:
    """POST once. `secrets` are masked in what is kept of the answer, besides the URL itself."""
    body = payload if isinstance(payload, str) else json.dumps(payload)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hostmaster-alerts/1",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    try:
        with (
            guarded_session() as session,
            session.post(
                url,
                data=body.encode(),
                headers=headers,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            reply = _beginning(response)
            return _judge(response, reply, (*_secrets_of(url), *secrets))
    except DestinationNotAllowedError as error:
        return Outcome(ok=False, error_class="not_allowed", error=str(error), is_refused=True)
    except requests.exceptions.SSLError:
        return Outcome(ok=False, error_class="tls", error="No TLS connection could be made.")
    except requests.exceptions.Timeout:
        return Outcome(ok=False, error_class="timeout", error="It did not answer in time.")
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
        return Outcome(ok=False, error_class="bad_url", error="This is not a URL.", is_refused=True)
    except (requests.exceptions.RequestException, ProxyRefusedError, OSError, ValueError):
        # Their texts hold the URL, which is a secret.
        return Outcome(ok=False, error_class="connect", error="No connection could be made.")


def _beginning(response: requests.Response) -> bytes:
    """As much of the answer as is kept. The status has decided already, so an answer that breaks
    off or never ends changes nothing."""
    found = b""
    try:
        for chunk in response.iter_content(REPLY_BYTES):
            found += chunk
            if len(found) >= REPLY_BYTES:
                break
    except (requests.exceptions.RequestException, OSError, ValueError):
        pass
    return found[:REPLY_BYTES]


def _judge(response: requests.Response, reply: bytes, secrets: tuple[str, ...]) -> Outcome:
    status = response.status_code
    shown = _masked(reply, secrets)
    if 200 <= status < 300:
        return Outcome(ok=True, status_code=status, reply=shown, wait=_exhausted(response))
    if status == TOO_MANY:
        wait = _asked_wait(response, reply) or timedelta(seconds=5)
        error = "It asks us to send less often (status 429)."
        return Outcome(False, status, "throttled", error, shown, wait=wait)
    if 300 <= status < 400:
        error = f"It answered with a redirect (status {status}), which is not followed."
        return Outcome(False, status, "redirect", error, shown)
    return Outcome(
        ok=False,
        status_code=status,
        error_class="gone" if status == GONE else "status",
        error=f"It answered with status {status}.",
        reply=shown,
        is_refused=status in REFUSING or status == GONE,
        is_gone=status == GONE,
        wait=_asked_wait(response, reply) if status in _ASKS_TO_WAIT else None,
    )


def _asked_wait(response: requests.Response, reply: bytes) -> timedelta | None:
    """Retry-After in either form, or Discord's `retry_after`; the longer one."""
    waits = [_retry_after(response.headers.get("Retry-After", "")), _retry_after_of(reply)]
    return max((wait for wait in waits if wait is not None), default=None)


def _retry_after(header: str) -> timedelta | None:
    seconds = _seconds(header)
    if seconds is not None:
        return seconds
    try:
        at = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - datetime.now(UTC), timedelta())


def _retry_after_of(reply: bytes) -> timedelta | None:
    try:
        found = json.loads(reply)
    except ValueError:
        return None
    return _seconds(found.get("retry_after")) if isinstance(found, dict) else None


def _exhausted(response: requests.Response) -> timedelta | None:
    """Discord says with its answer when the next message would be one too many."""
    if response.headers.get("X-RateLimit-Remaining") != "0":
        return None
    return _seconds(response.headers.get("X-RateLimit-Reset-After"))


def _seconds(value: Any) -> timedelta | None:
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return timedelta(seconds=min(seconds, 86_400.0)) if seconds >= 0 else None


def _secrets_of(url: str) -> tuple[str, ...]:
    """The URL and what of it a receiver may repeat alone: a webhook's token is in its path, or in
    its query. The longest first, or a part masked would hide the whole from us."""
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    tokens = [piece for piece in pieces if len(piece) >= SHORTEST_TOKEN]
    found = [url, parts.path, parts.query, *tokens, *map(unquote, tokens)]
    return tuple(sorted(dict.fromkeys(found), key=len, reverse=True))


def _masked(reply: bytes, secrets: tuple[str, ...]) -> str:
    text = reply.decode("utf-8", "replace")
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, MASK)
    return mask(text).encode()[:REPLY_BYTES].decode("utf-8", "ignore")
