"""Log lines for machines or people, with secrets masked wherever they stand.

`mask` is for everybody who stores text that came from outside: errors, reasons, system log.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from django.conf import settings
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

MASK = "***"

# Names whose value is always a secret, and names that also stand in prose ("ExpiredToken: The
# security token …"), where a plain word after a colon is kept.
_STRONG_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret[_-]?(?:access[_-]?)?key|(?:session|security|auth|api|access"
    r"|refresh|id|bearer|metrics)[_-]?token|(?:api|encryption|private|signing)[_-]?keys?(?:_old)?"
    r"|authorization|(?:set-)?cookie|sessionid|csrftoken|webhook[_-]?url"
)
_WEAK_NAME = r"token|secret|credentials?|signature|access[_-]?key(?:[_-]?id)?"
_BYTES = r"""(?:b(?=\\*["']))?"""
_OPEN = rf"""(?:\\*["'])?\s{{0,3}}(?:=>|[:=])\s{{0,3}}{_BYTES}"""
_TUPLE = rf"""\\*["']\s{{0,3}},\s{{0,3}}{_BYTES}(?=\\*["'])"""
_QUOTED = r"""(?P<q>\\*["'])(?:(?!(?P=q)).)*(?:(?P=q)|$)"""
_BARE = r"""(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s,;&)\]}"'<>]+"""
_PLAIN_WORD = r"""(?<=\s)[A-Za-z][a-z']*(?=[\s.,;)]|$)"""


def _named(name: str, bare: str) -> str:
    return rf"(?P<name>(?:{name})(?:{_OPEN}|{_TUPLE}))(?:{_QUOTED}|{bare})"


_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.S), MASK),
    # Userinfo of a URL; the second form is a password that holds / ? or # unescaped.
    (re.compile(r"""(?<=://)[^\s/?#"'<>]{0,500}@"""), f"{MASK}@"),
    (re.compile(r"""(?<=://)[^\s/:@"'<>]{0,100}:(?!\d{1,5}[/?#])[^\s"'<>]{0,500}@"""), f"{MASK}@"),
    # Chat and automation services put the secret of a webhook into its path.
    (
        re.compile(r"""(://(?:[\w-]{1,63}\.){0,5}(?:web)?hooks?\.[\w.:-]{1,200}/)[^\s"'<>]+"""),
        rf"\1{MASK}",
    ),
    (re.compile(r"""(?i)(/(?:web)?hooks?(?:b2)?/)[^\s"'<>?#)]+"""), rf"\1{MASK}"),
    (re.compile(r"(/services/)T\w+/B\w+/\w+"), rf"\1{MASK}"),
    (re.compile(r"(/bot)\d+:[\w-]+"), rf"\1{MASK}"),
    (re.compile(r"(Max retries exceeded with url: )\S+"), rf"\1{MASK}"),
    (re.compile(r"(?i)([?&](?:key|sig|code|auth|pass|t)=)[^\s&\"'<>#]+"), rf"\1{MASK}"),
    # Secrets with a face of their own.
    (re.compile(r"(hm_[A-Za-z0-9-]+_)[\w-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}"), rf"\1{MASK}"),
    (re.compile(r"(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2lu|AQoDYXdz)[\w/+=%-]*"), MASK),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),
    (
        re.compile(r"(gh[pousr]_|github_pat_|xox[a-z]-|whsec_|sk_live_|glpat-)[\w/+=-]{10,}"),
        rf"\1{MASK}",
    ),
    (re.compile(r"[0-9A-Fa-f]{64,}"), MASK),
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(basic\s+)[\w+/=-]{16,}"), rf"\1{MASK}"),
    (re.compile(rf"(?is){_named(_STRONG_NAME, _BARE)}"), rf"\g<name>{MASK}"),
    (
        re.compile(rf"(?is){_named(_WEAK_NAME, f'(?!(?-i:{_PLAIN_WORD})){_BARE}')}"),
        rf"\g<name>{MASK}",
    ),
    # An AWS secret key that stands alone: 40 characters of mixed case with a digit. Not a git
    # hash (one case), not the path of a traceback.
    (
        re.compile(
            r"""(?<![A-Za-z0-9/+=])(?<!File ")(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])"""
            r"""(?=[A-Za-z/+]*\d)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"""
        ),
        MASK,
    ),
    # Session tokens of any make, sealed values, other opaque runs.
    (re.compile(r"(?=[a-z0-9/+_-]*[A-Z])(?=[A-Z0-9/+_-]*[a-z])[A-Za-z0-9/+_-]{100,}={0,2}"), MASK),
)
_SECRET_FIELD = re.compile(rf"(?i)(?:{_STRONG_NAME}|{_WEAK_NAME})$")

# A shorter value of a setting may be a common word ("postgres").
_SHORTEST_KNOWN = 16


def mask(text: str) -> str:
    """`text` with every recognised secret replaced. Masking twice changes nothing more."""
    for secret in _known_secrets():
        text = text.replace(secret, MASK)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def exception_text(error: BaseException) -> str:
    """`Type: message`, masked: what a row or a page may hold of an error."""
    message = str(error)
    name = type(error).__name__
    return mask(f"{name}: {message}" if message else name)


def log_transition(
    label: str,
    object_id: object,
    from_state: str,
    to_state: str,
    *,
    tenant: object = None,
    actor: str = "",
    reason: str = "",
    **details: object,
) -> None:
    """The one INFO line of a change of state; `details` become fields of the JSON line."""
    extra = {
        "label": label,
        "object_id": str(object_id),
        "from_state": str(from_state),
        "to_state": str(to_state),
        "actor": actor,
        "reason": reason,
        **details,
    }
    if tenant is not None:
        extra["tenant"] = str(tenant)
    text = "%s %s: %s → %s" + (" (%s)" if reason else "")
    args = [label, object_id, from_state, to_state, *([reason] if reason else [])]
    logging.getLogger("hostmaster.transitions").info(text, *args, extra=extra)


def log_run(
    name: str, processed: int, succeeded: int, failed: int, duration_seconds: float
) -> None:
    """The line at the end of each scheduled run."""
    extra = {
        "job": name,
        "processed": processed,
        "succeeded": succeeded,
        "failed": failed,
        "duration_seconds": round(duration_seconds, 3),
    }
    logging.getLogger("hostmaster.runs").info(
        "job=%s processed=%d succeeded=%d failed=%d duration_seconds=%.3f",
        *extra.values(),
        extra=extra,
    )


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


_NO_CONTEXT: Mapping[str, str] = MappingProxyType({})
_context: ContextVar[Mapping[str, str]] = ContextVar("hostmaster_log", default=_NO_CONTEXT)


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Every line logged inside carries `fields` (`job_id`, `tenant`, `correlation_id`)."""
    token = _context.set({**_context.get(), **{name: str(v) for name, v in fields.items()}})
    try:
        yield
    finally:
        _context.reset(token)


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


class JsonFormatter(BaseJsonFormatter):
    """One JSON object a line: time, level, logger, message, context, extras."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        line = {"time": log_data.pop("time").isoformat(), **_context.get(), **log_data}
        return {name: masked_value(value, name) for name, value in line.items()}


class TextFormatter(logging.Formatter):
    """One line a person reads; the context in brackets at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # A line break in what a stranger sent would forge a second line.
        line = super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")
        context = " ".join(f"{name}={value}" for name, value in _context.get().items())
        return f"{line} [{context}]" if context else line

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class MaskingStreamHandler(logging.StreamHandler[Any]):
    """Writes to stderr; its own failure names the line's place, never its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        reason = exception_text(error) if error else "unknown error"
        place = f"{record.pathname}:{record.lineno}"
        sys.stderr.write(f"A log line of {place} could not be written: {reason}\n")


# At DEBUG these print request bodies, headers or URLs with their secrets; urllib3 and botocore
# also chatter at INFO.
_QUIET = {
    "asyncio": logging.INFO,
    "boto3": logging.WARNING,
    "botocore": logging.WARNING,
    "django.db.backends": logging.INFO,
    "docker": logging.WARNING,
    "elastic_transport": logging.WARNING,
    "requests": logging.WARNING,
    "s3transfer": logging.WARNING,
    "urllib3": logging.WARNING,
}


def logging_settings(log_format: str, level: str) -> dict[str, Any]:
    """Django's `LOGGING`. An unknown format or level falls back here; the system check names it."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    # Django's own handlers mail whole tracebacks with settings.
    loggers: dict[str, dict[str, Any]] = {
        "django": {"handlers": [], "level": max(number, logging.INFO), "propagate": True},
        "django.server": {"handlers": [], "level": max(number, logging.INFO), "propagate": True},
        "django-q": {"level": max(number, logging.INFO)},
    }
    loggers |= {name: {"level": max(number, quiet)} for name, quiet in _QUIET.items()}
    formatter = "hostmaster.core.logs.JsonFormatter"
    if log_format != "json":
        formatter = "hostmaster.core.logs.TextFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"masked": {"()": formatter}},
        "handlers": {
            "console": {
                "class": "hostmaster.core.logs.MaskingStreamHandler",
                "formatter": "masked",
            }
        },
        "root": {"handlers": ["console"], "level": number},
        "loggers": loggers,
    }
