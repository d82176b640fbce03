"""What a monitor's configuration must be, beyond what its columns say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from monitors.models import Monitor, MonitorKind
from monitors.probes.assertions import AssertionFormatError, validate_assertions

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MOST_HEADERS, MOST_TAGS = 50, 50
LONGEST_HEADER, LONGEST_BODY = 8000, 64 * 1024

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_LINE_BREAK = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_RANGE = re.compile(r"\s*([1-5]\d\d)\s*(?:-\s*([1-5]\d\d)\s*)?", re.ASCII)


def problems_of(monitor: Monitor) -> dict[str, str]:
    """What is wrong, by field; empty when nothing is."""
    found = {
        "url": _url_problem(monitor),
        "method": "" if monitor.method in METHODS else f"One of {', '.join(METHODS)}.",
        "expected_status": ""
        if is_status_list(monitor.expected_status)
        else "Codes and ranges, such as “200-299,304”.",
        "tags": _tags_problem(monitor.tags),
        "assertions": _assertions_problem(monitor.assertions),
        "body": "At most 64 KiB." if len(monitor.body) > LONGEST_BODY else "",
    }
    return {name: problem for name, problem in found.items() if problem}


def is_status_list(text: str) -> bool:
    """`text` is codes and ranges, as in `200-299,304`."""
    matches = [_STATUS_RANGE.fullmatch(part) for part in text.split(",")]
    return all(m is not None and (m[2] or m[1]) >= m[1] for m in matches)


def checked_headers(headers: object) -> dict[str, str]:
    """Raises `ValidationError` on `headers`."""
    if not isinstance(headers, Mapping) or len(headers) > MOST_HEADERS:
        raise ValidationError({"headers": f"At most {MOST_HEADERS} names with their values."})
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValidationError({"headers": "A header's name has letters, digits and dashes."})
        if not isinstance(value, str) or len(value) > LONGEST_HEADER or _LINE_BREAK.search(value):
            raise ValidationError({"headers": f"The value of {name} is not one line of text."})
    return dict(headers)


def _url_problem(monitor: Monitor) -> str:
    if monitor.kind == MonitorKind.PUSH:
        return "A push monitor has no URL: it is called." if monitor.url else ""
    is_tcp = monitor.kind == MonitorKind.TCP
    try:
        parts = urlsplit(monitor.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "This is not a URL."
    schemes = {"tcp"} if is_tcp else {"http", "https"}
    if parts.scheme.lower() not in schemes or not host or _CONTROL.search(monitor.url):
        wanted = "tcp://host:port" if is_tcp else "http:// or https://"
        return f"The URL of this kind of monitor begins with {wanted}."
    if is_tcp and not port:
        return "A TCP monitor needs a port, as in tcp://example.com:5000."
    if parts.username or parts.password:
        return "A password in a URL is seen by everybody: use a header."
    return ""


def _tags_problem(tags: object) -> str:
    if not isinstance(tags, list) or len(tags) > MOST_TAGS:
        return f"A list of at most {MOST_TAGS} words."
    if not all(isinstance(tag, str) and 0 < len(tag) <= 100 for tag in tags):
        return "Each tag is a word of at most 100 characters."
    return ""


def _assertions_problem(assertions: object) -> str:
    if not isinstance(assertions, list):
        return "A list of assertions."
    try:
        validate_assertions(assertions)
    except AssertionFormatError as error:
        return str(error)
    return ""
