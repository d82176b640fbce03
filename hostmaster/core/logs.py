"""Log lines for machines or people, with secrets masked wherever they stand.

`mask`, `masked_value` and `exception_text` are for everybody who stores what came from outside:
errors, reasons, system log.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

from hostmaster.core.masking import exception_text, mask, masked_value

__all__ = [
    "JsonFormatter",
    "MaskingStreamHandler",
    "TextFormatter",
    "exception_text",
    "log_context",
    "log_run",
    "log_transition",
    "logging_settings",
    "mask",
    "masked_value",
]


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


# At DEBUG these print request bodies, headers or URLs with their secrets; some chatter at INFO.
_QUIET = {
    "asyncio": logging.INFO,
    "axes": logging.WARNING,
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
        # The web server's own handlers mask nothing, and some addresses are secrets. Its levels
        # stay: `--log-level` says them.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": True},
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
