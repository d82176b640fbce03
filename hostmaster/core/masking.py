"""Finds secrets in text that came from anywhere, and puts `***` in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from django.conf import settings

MASK = "***"

# Names whose value is always a secret, and names that also stand in prose ("ExpiredToken: The
# security token …"), where a plain word after a colon is kept.
_STRONG_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret[_-]?(?:access[_-]?)?key(?:_fallbacks)?"
    r"|(?:session|security|auth|api|access|refresh|id|bearer|metrics)[_-]?token"
    r"|(?:api|encryption|private|signing)[_-]?keys?(?:_old)?"
    r"|authorization|(?:set-)?cookie|sessionid|csrftoken|webhook[_-]?url"
)
_STRONG_HINTS = ("pass", "pwd", "key", "token", "auth", "cookie", "sessionid", "webhook")
_WEAK_NAME = r"tokens?|secrets?|credentials?|signature|access[_-]?key(?:[_-]?id)?"
_WEAK_HINTS = ("token", "secret", "credential", "signature", "access")

_BYTES = r"""(?:b(?=\\*["']))?"""
_OPEN = rf"""(?:\\*["'])?\s{{0,3}}(?:=>|[:=])\s{{0,3}}{_BYTES}"""
_TUPLE = rf"""\\*["']\s{{0,3}},\s{{0,3}}{_BYTES}(?=\\*["'])"""
# Ends at the same quote, unless a backslash stands before it; without one, at the end of the text.
_QUOTED = r"""(?P<q>\\*["'])(?:(?!(?<!\\)(?P=q)).)*(?:(?P=q)|\Z)"""
# Texts in it may hold brackets of their own. Bounded: else quotes that never end cost n².
_TEXT = r"""\"(?:\\.|[^"\\]){0,200}\"|'(?:\\.|[^'\\]){0,200}'"""
_BRACKETED = rf"""[\[({{](?:{_TEXT}|[^\])}}])*(?:[\])}}]|\Z)"""
_BARE = r"""(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s,;&)\]}"'<>]+"""
_PLAIN_WORD = r"""(?<=\s)[A-Za-z][a-z']*(?=[\s.,;)]|$)"""


class _Rule(NamedTuple):
    """`pattern` is tried only where one of `hints` (lower case) occurs: most lines hold none, and
    all patterns together cost more than the rest of a log line."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str] = MASK


def _rule(
    hints: str, pattern: str, replacement: str | Callable[[re.Match[str]], str] = MASK
) -> _Rule:
    return _Rule(tuple(hints.split()), re.compile(pattern), replacement)


def _named(hints: tuple[str, ...], name: str, bare: str) -> _Rule:
    pattern = rf"(?is)(?P<name>(?:{name})(?:{_OPEN}|{_TUPLE}))(?:{_QUOTED}|{_BRACKETED}|{bare})"
    return _Rule(hints, re.compile(pattern), rf"\g<name>{MASK}")


def _mask_if_mixed(match: re.Match[str]) -> str:
    """Keys mix cases and digits; hashes, paths and words seldom do."""
    run = match[0]
    is_mixed = run != run.lower() and run != run.upper() and any(map(str.isdigit, run))
    return MASK if is_mixed else run


_RULES: tuple[_Rule, ...] = (
    _rule("private", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)"),
    # Userinfo of a URL. The other two are passwords that hold / ? or # unescaped; of a web page
    # `host:8080/path?mail=a@b` is left.
    _rule("://", r"""(?<=://)[^\s/?#"'<>]{0,500}@""", f"{MASK}@"),
    _rule(
        "://",
        r"""(?<=://)(?<!http://)(?<!https://)[^\s/:@"'<>]{0,100}:[^\s"'<>]{0,500}@""",
        f"{MASK}@",
    ),
    _rule("://", r"""(?<=://)[^\s/:@"'<>]{0,100}:(?!\d{1,5}[/?#])[^\s"'<>]{0,500}@""", f"{MASK}@"),
    # Chat and automation services put the secret of a webhook into its path.
    _rule(
        "hook",
        r"""(://(?:[\w-]{1,63}\.){0,5}(?:web)?hooks?\.[\w.:-]{1,200}/)[^\s"'<>]+""",
        rf"\1{MASK}",
    ),
    _rule("hook", r"""(?i)(/(?:web)?hooks?(?:b2)?/)[^\s"'<>?#)]+""", rf"\1{MASK}"),
    # Whoever knows the address of a heartbeat may send it.
    _rule("/heartbeats/", r"""(/heartbeats/)[^\s"'<>?#)]+""", rf"\1{MASK}"),
    _rule("/services/", r"(/services/)T\w+/B\w+/\w+", rf"\1{MASK}"),
    _rule("/bot", r"(/bot)\d+:[\w-]+", rf"\1{MASK}"),
    _rule("max retries", r"(Max retries exceeded with url: )\S+", rf"\1{MASK}"),
    _rule("? &", r"""(?i)([?&](?:key|sig|code|auth|pass|t)=)[^\s&"'<>#]+""", rf"\1{MASK}"),
    # Secrets with a face of their own.
    _rule("hm_", r"(hm_[A-Za-z0-9-]+_)[\w-]{8,}", rf"\1{MASK}"),
    _rule("akia asia abia acca", r"(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}", rf"\1{MASK}"),
    _rule(
        "fwogzxivyxdz fqogzxivyxdz iqojb3jpz2lu aqodyxdz",
        r"(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2lu|AQoDYXdz)[\w/+=%-]*",
    ),
    _rule("eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    _rule(
        "gh github_pat_ xox whsec_ sk_live_ glpat-",
        r"(gh[pousr]_|github_pat_|xox[a-z]-|whsec_|sk_live_|glpat-)[\w/+=-]{10,}",
        rf"\1{MASK}",
    ),
    _rule("", r"[0-9A-Fa-f]{64,}"),
    _rule("bearer", r"(?i)(bearer\s+)[\w.~+/=-]{8,}", rf"\1{MASK}"),
    _rule("basic", r"(?i)(basic\s+)[\w+/=-]{16,}", rf"\1{MASK}"),
    _named(_STRONG_HINTS, _STRONG_NAME, _BARE),
    _named(_WEAK_HINTS, _WEAK_NAME, rf"(?!(?-i:{_PLAIN_WORD})){_BARE}"),
    # An AWS secret key that stands alone, unless it is the path of a traceback.
    _rule(
        "",
        r"""(?<![A-Za-z0-9/+])(?<!File ")[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])""",
        _mask_if_mixed,
    ),
    # Session tokens of any make, sealed values, other opaque runs.
    _rule("", r"[A-Za-z0-9/+_-]{100,}={0,2}", _mask_if_mixed),
)
_SECRET_FIELD = re.compile(rf"(?i)(?:{_STRONG_NAME}|{_WEAK_NAME})$")

# A shorter value of a setting may be a common word ("postgres").
_SHORTEST_KNOWN = 16


def storable(text: str) -> str:
    """`text` with a replacement sign for what PostgreSQL or UTF-8 refuses."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def mask(text: str) -> str:
    """`text` with every recognised secret replaced. Masking twice changes nothing more.

    A secret is recognised by its form, by the name beside it, or because it is ours. A password
    that is an ordinary word in an ordinary sentence is not. What no database stores (NUL, halves of
    surrogate pairs) is replaced as well: an error's text must never keep it from being noted.
    """
    text = storable(text)
    for secret in _known_secrets():
        text = text.replace(secret, MASK)
    lowered = text.lower()
    for hints, pattern, replacement in _RULES:
        if not hints or any(hint in lowered for hint in hints):
            text = pattern.sub(replacement, text)
    return text


def masked_value(value: object, name: str = "") -> object:
    """`value` fit for a log line or a JSON column: strings masked at every depth, and whatever
    stands under a secret's name."""
    if value is None or isinstance(value, bool):
        return value
    if name and _SECRET_FIELD.search(name):
        return MASK
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {mask(str(key)): masked_value(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked_value(item) for item in value]
    return mask(str(value))


def exception_text(error: BaseException) -> str:
    """`Type: message`, masked: what a row or a page may hold of an error."""
    message = str(error)
    name = type(error).__name__
    return mask(f"{name}: {message}" if message else name)


def _known_secrets() -> Iterator[str]:
    """Secrets this process was given by its settings: masked whatever they look like."""
    if not settings.configured:
        return
    for name in ("SECRET_KEY", "ENCRYPTION_KEY", "METRICS_TOKEN", "EMAIL_HOST_PASSWORD"):
        yield from _long_enough(getattr(settings, name, ""))
    for name in ("SECRET_KEY_FALLBACKS", "ENCRYPTION_KEYS_OLD"):
        for value in getattr(settings, name, ()):
            yield from _long_enough(value)
    for database in settings.DATABASES.values():
        yield from _long_enough(database.get("PASSWORD"))


def _long_enough(value: object) -> Iterator[str]:
    if isinstance(value, str) and len(value) >= _SHORTEST_KNOWN:
        yield value
