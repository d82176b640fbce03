"""Claims about an answer: read, refused at creation when they make no sense, and judged.

Written as JSON: `{"source": "json", "target": "$.status", "op": "==", "value": "ok"}`. Sources are
status, header (target: its name), json (target: a path), body, body_size (bytes) and response_time
(milliseconds). `matches` looks at the first 64 Ki characters.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.jsonpath import Child, Fields, Index, Root, Slice, Wildcard
from jsonpath_ng.parser import parse

from monitors.probes.types import Assertion

SOURCES: Final = ("status", "header", "json", "body", "body_size", "response_time")
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXT_OPS: Final = ("contains", "not_contains", "matches")
OPS: Final = ("==", "!=", *COMPARISONS, *TEXT_OPS, "exists", "length")
NUMERIC_SOURCES: Final = ("status", "body_size", "response_time")
BODY_SOURCES: Final = ("json", "body")
MAX_ASSERTIONS: Final = 20
MAX_TEXT_LENGTH: Final = 500  # of a target or a value
# One thread probes for everybody, so what a tenant may make it read has a limit.
MAX_JSON_BYTES: Final = 256 * 1024
MAX_MATCHED_CHARS: Final = 64 * 1024
MAX_PATTERNS: Final = 5
MAX_PATTERN_STEPS: Final = 400  # of RE2's program; as many take 0.1 s on the worst text
_SHOWN: Final = 80
_MISSING: Final = object()


class AssertionFormatError(ValueError):
    """This assertion cannot be judged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What assertions look at. Header names in lower case; several values joined by comma."""

    status: int
    headers: Mapping[str, str]
    body: str
    body_bytes: int
    response_time_ms: int


def parse_assertions(values: Sequence[object]) -> tuple[Assertion, ...]:
    """Assertions from their JSON. Raises `AssertionFormatError`, a `ValueError` whose text is a
    sentence naming the one that is wrong."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise AssertionFormatError("Assertions are a list of objects.")
    if len(values) > MAX_ASSERTIONS:
        raise AssertionFormatError(f"A monitor has at most {MAX_ASSERTIONS} assertions.")
    assertions = tuple(_parse_one(number, each) for number, each in enumerate(values, start=1))
    if sum(assertion.op == "matches" for assertion in assertions) > MAX_PATTERNS:
        raise AssertionFormatError(f"A monitor has at most {MAX_PATTERNS} regular expressions.")
    return assertions


def validate_assertions(values: Sequence[object]) -> None:
    """Raises `ValueError` with a sentence unless each of `values` can be judged."""
    parse_assertions(values)


def needs_body(assertions: Sequence[Assertion]) -> bool:
    """Does any of them look into the body?"""
    return any(assertion.source in BODY_SOURCES for assertion in assertions)


def broken_claim(assertions: Sequence[Assertion], answer: Answer) -> str:
    """The sentence on the first assertion that does not hold, or ""."""
    document: object = None
    if any(assertion.source == "json" for assertion in assertions):
        if len(answer.body.encode(errors="replace")) > MAX_JSON_BYTES:
            return f"The JSON is larger than {MAX_JSON_BYTES // 1024} KiB, more is not read."
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            return "The answer is not JSON."
    for assertion in assertions:
        actual = _actual(assertion, answer, document)
        if not holds(assertion, actual):
            return _sentence(assertion, actual)
    return ""


def holds(assertion: Assertion, actual: object) -> bool:
    """Is the claim true of `actual`? What is missing satisfies `exists: false` and no other."""
    op, wanted = assertion.op, assertion.value
    if op == "exists":
        return (actual is not _MISSING) == (wanted is not False)
    if actual is _MISSING:
        return False
    if op == "length":
        return isinstance(actual, str | list | dict) and len(actual) == wanted
    if op in ("==", "!="):
        return _equals(actual, wanted) == (op == "==")
    if op in COMPARISONS:
        left, right = _number(actual), _number(wanted)
        return left is not None and right is not None and COMPARISONS[op](left, right)
    if op in ("contains", "not_contains"):
        return _contains(actual, wanted) == (op == "contains")
    return op == "matches" and _matches(str(wanted), _text(actual))


def _parse_one(number: int, value: object) -> Assertion:
    def refuse(reason: str) -> AssertionFormatError:
        return AssertionFormatError(f"Assertion {number}: {reason}")

    if not isinstance(value, Mapping):
        raise refuse("it is no object with source, op and value.")
    unknown = sorted(map(str, set(value) - {"source", "target", "op", "value"}))
    if unknown:
        raise refuse(f"{unknown[0][:50]!r} is unknown; it has source, target, op and value.")
    assertion = Assertion(
        source=str(value.get("source", "")),
        op=str(value.get("op", "==")),
        target=str(value.get("target") or ""),
        value=value.get("value"),
    )
    try:
        _check(assertion)
    except AssertionFormatError as error:
        raise refuse(str(error)) from None
    return assertion


def _check(assertion: Assertion) -> None:
    source, op, wanted = assertion.source, assertion.op, assertion.value
    if source not in SOURCES:
        raise AssertionFormatError(f"source is one of {', '.join(SOURCES)}.")
    if op not in OPS:
        raise AssertionFormatError(f"op is one of {', '.join(OPS)}.")
    if not isinstance(wanted, str | int | float | bool | None):
        raise AssertionFormatError("value is a text, a number, true, false or null.")
    if max(len(str(wanted)), len(assertion.target)) > MAX_TEXT_LENGTH:
        raise AssertionFormatError(f"target and value have at most {MAX_TEXT_LENGTH} characters.")
    if source in ("header", "json") and not assertion.target:
        raise AssertionFormatError(
            f"target names the {'header' if source == 'header' else 'path'}."
        )
    if source == "json":
        _path(assertion.target)
    _check_value(source, op, wanted)


def _check_value(source: str, op: str, wanted: object) -> None:
    if source in NUMERIC_SOURCES and op not in ("==", "!=", *COMPARISONS):
        raise AssertionFormatError(f"{source} is a number: compare it.")
    if (op in COMPARISONS or source in NUMERIC_SOURCES) and _number(wanted) is None:
        raise AssertionFormatError(f"{op} needs a number as value.")
    if op == "exists" and not isinstance(wanted, bool | None):
        raise AssertionFormatError("exists takes true or false.")
    if op == "length" and (isinstance(wanted, bool) or not isinstance(wanted, int)):
        raise AssertionFormatError("length takes a whole number.")
    if op in TEXT_OPS and (not isinstance(wanted, str) or not wanted):
        raise AssertionFormatError(f"{op} needs a text as value.")
    if op == "matches":
        _pattern(str(wanted))


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text[:MAX_MATCHED_CHARS]) is not None


# RE2, not `re`: its time is linear in the text, so no pattern of a tenant can hang a worker.
@lru_cache(maxsize=2048)
def _pattern(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 * 1024
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeError):
        compiled = None
    if compiled is None or compiled.programsize > MAX_PATTERN_STEPS:
        raise AssertionFormatError(
            f"{pattern[:100]!r} is no regular expression of RE2 (which has no look-around), "
            "or too large a one."
        )
    return compiled


@lru_cache(maxsize=2048)
def _path(path: str) -> Any:
    """A path of names, indexes and slices: these visit each value once. `..` and filters do not,
    so they are refused."""
    parsed: Any = None
    try:
        # The union of paths is deprecated there and warns when it is parsed.
        understood = "|" not in path and _is_plain(parsed := parse(path))
    except (JSONPathError, RecursionError, ValueError, AttributeError, TypeError):
        understood = False
    if not understood:
        raise AssertionFormatError(f"{path[:100]!r} is no path such as $.items[0].name.")
    return parsed


def _is_plain(node: object) -> bool:
    if isinstance(node, Child):
        return _is_plain(node.left) and _is_plain(node.right)
    return isinstance(node, Root | Fields | Index | Slice | Wildcard)


def _actual(assertion: Assertion, answer: Answer, document: object) -> object:
    match assertion.source:
        case "status":
            return answer.status
        case "header":
            return answer.headers.get(assertion.target.lower(), _MISSING)
        case "body":
            return answer.body
        case "body_size":
            return answer.body_bytes
        case "response_time":
            return answer.response_time_ms
    found = _path(assertion.target).find(document)
    if not found:
        return _MISSING
    return found[0].value if len(found) == 1 else [match.value for match in found]


def _equals(actual: object, wanted: object) -> bool:
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return _text(actual) == _text(wanted)
    left, right = _number(actual), _number(wanted)
    if left is not None and right is not None:
        return left == right
    return _text(actual) == _text(wanted)


def _contains(actual: object, wanted: object) -> bool:
    if isinstance(actual, list):
        return any(_equals(item, wanted) for item in actual)
    if isinstance(actual, dict):
        return wanted in actual
    return _text(wanted) in _text(actual)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    """A value as JSON writes it, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sentence(assertion: Assertion, actual: object) -> str:
    place = {
        "status": "The status",
        "header": f"The header {assertion.target}",
        "json": f"The JSON at {assertion.target}",
        "body": "The body",
        "body_size": "The body's size in bytes",
        "response_time": "The response time in ms",
    }[assertion.source]
    claim = f"{assertion.op} {_text(assertion.value)[:100]}"
    if actual is _MISSING:
        return f"{place} is missing, expected {claim}."
    shown = "present" if assertion.op == "exists" else _text(actual)
    if assertion.source == "body":
        return f"{place} does not satisfy: {claim}."
    clipped = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
    return f"{place} is {clipped}, expected {claim}."
