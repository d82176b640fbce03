"""The URL of a target, made ready for the wire."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

import idna

_SCHEME: Final = re.compile(r"(https?)://[^/?#]", re.IGNORECASE)
_TCP: Final = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s\\%]+):([0-9]{1,5})/?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")
MAX_URL_LENGTH: Final = 8000


class AddressError(ValueError):
    """This is no address that can be checked."""


@lru_cache(maxsize=16384)
def http_url(url: str) -> str:
    """`url` in ASCII, its host as IDNA. Raises `AddressError`.

    Whether it may be dialled is not decided here, by its looks, but at the socket.
    """
    if len(url) > MAX_URL_LENGTH:
        raise AddressError(f"The address is longer than {MAX_URL_LENGTH} characters.")
    if not _SCHEME.match(url):
        raise AddressError("Only addresses that start with http:// or https:// can be checked.")
    if _UNPRINTABLE.search(url):
        raise AddressError("The address has a space or control character in it.")
    return url if url.isascii() else _in_ascii(url)


def host_of(url: str) -> str:
    """The host of an URL, as a certificate has to name it."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


@lru_cache(maxsize=16384)
def has_name(url: str) -> bool:
    """Does somebody have to look its host up?"""
    return re.search(r"//(?:[^/?#]*@)?(?:\[|[0-9.]+(?:[:/?#]|$))", url) is None


def origin_of(url: str) -> tuple[str, str, int | None]:
    """What two URLs share when one may see the headers meant for the other."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return parts.scheme, (parts.hostname or "").rstrip("."), port
    except ValueError:
        return url, "", None


def is_https(url: str) -> bool:
    return url[:6].lower() == "https:"


def tcp_url(url: str) -> str:
    """`tcp://host:port` as an URL that libcurl connects to without a word. Raises
    `AddressError`."""
    match = _TCP.fullmatch(url)
    if match is None or not 0 < int(match[2]) < 65536:
        raise AddressError("A TCP address is written tcp://host:port.")
    return http_url(f"http://{match[1]}:{match[2]}/")


def _in_ascii(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = idna.encode(parts.hostname or "", uts46=True, transitional=False).decode()
    except ValueError:  # idna's errors are UnicodeErrors, which are ValueErrors
        raise AddressError("The address has no valid host name.") from None
    userinfo, _, place = parts.netloc.rpartition("@")
    port = re.search(r":[0-9]*$", place)
    authority = f"{quote(userinfo, safe=':%')}@" if userinfo else ""
    authority += f"{host}{port[0] if port else ''}"
    rest = quote(url[url.index(parts.netloc) + len(parts.netloc) :], safe="/?#%&=:;,+$!*'()@~[]-._")
    return f"{parts.scheme}://{authority}{rest}"
