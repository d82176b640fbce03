"""Monitors and maintenance windows as a YAML document: reading it with the line of each mistake,
and writing it. Knows no rows.

Only the safe loader reads. Anchors are refused, for a few lines of them can stand for billions;
`defaults` says once what all monitors share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import yaml

from monitors.models import MonitorKind
from monitors.recurrence import MaintenanceRuleError, zone_of

VERSION = 1
LONGEST = 8 * 1024 * 1024
DEEPEST = 20
PROBLEMS_SHOWN = 20

Reader = Callable[[Any], Any]


class WrongValueError(ValueError):
    """This value cannot be used here."""


class DocumentError(Exception):
    """This document cannot be used."""

    def __init__(self, problems: list[str]) -> None:
        left = len(problems) - PROBLEMS_SHOWN
        more = [f"… and {left} more"] if left > 0 else []
        super().__init__("\n".join([*problems[:PROBLEMS_SHOWN], *more]))


@dataclass(frozen=True)
class Entry:
    """One monitor or window as the document has it. `fields` holds what is said of it, and the
    defaults; `lines` where."""

    key: str
    line: int
    fields: Mapping[str, Any] = field(repr=False)  # headers may hold secrets
    lines: Mapping[str, int] = field(repr=False)

    def line_of(self, name: str) -> int:
        return self.lines.get(name, self.line)


@dataclass(frozen=True)
class Document:
    monitors: dict[str, Entry]
    maintenance: dict[str, Entry]


def at_line(line: int, text: str) -> str:
    return f"line {line}: {text}"


# What each key may hold


def _text(longest: int, *, is_blank_allowed: bool = True) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValueError("must be text")
        _refuse_unstorable(value)
        if len(value) > longest:
            raise WrongValueError(f"is longer than {longest} characters")
        if not is_blank_allowed and not value.strip():
            raise WrongValueError("must not be empty")
        return value

    return read


def _number(low: float, high: float, *, is_whole: bool) -> Reader:
    def read(value: Any) -> float:
        kinds = int if is_whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise WrongValueError(f"must be a {'whole ' if is_whole else ''}number")
        if not (low <= value <= high and math.isfinite(value)):
            raise WrongValueError(f"must be {low:g} to {high:g}")
        return value

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError("must be true or false")
    return value


def _choice(*known: str) -> Reader:
    def read(value: Any) -> str:
        word = _text(100)(value)
        if word not in known:
            raise WrongValueError(f"must be one of {', '.join(known)}")
        return str(word)

    return read


def _texts(most: int, longest: int) -> Reader:
    def read(value: Any) -> list[str]:
        if not isinstance(value, list) or len(value) > most:
            raise WrongValueError(f"must be a list of at most {most} texts")
        each = _text(longest, is_blank_allowed=False)
        return list(dict.fromkeys(each(one) for one in value))

    return read


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise WrongValueError("must be names with their values")
    read = _text(8000)
    return {read(name): read(text) for name, text in value.items()}


def _json_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise WrongValueError("must be a list")
    try:
        _refuse_unstorable(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except TypeError:
        raise WrongValueError("holds what JSON has no word for") from None
    return value


def _instant(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise WrongValueError("must be a time, such as 2026-11-29T01:00:00Z")
    return value


def _minutes(value: Any) -> timedelta:
    return timedelta(minutes=_number(1 / 60, 366 * 24 * 60, is_whole=False)(value))


def _refuse_unstorable(text: str) -> None:
    if "\x00" in text or "\\u0000" in text:
        raise WrongValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongValueError("holds half a character") from None


MONITOR_FIELDS: Mapping[str, Reader] = {
    "name": _text(200, is_blank_allowed=False),
    "kind": _choice(*MonitorKind.values),
    "url": _text(2048),
    "enabled": _flag,
    "interval_seconds": _number(1, 86_400, is_whole=True),
    "timeout_seconds": _number(0.001, 300, is_whole=False),
    "method": _text(10),
    "headers": _headers,
    "body": _text(64 * 1024),
    "expected_status": _text(100),
    "keyword": _text(500),
    "keyword_absent": _flag,
    "assertions": _json_list,
    "follow_redirects": _flag,
    "max_redirects": _number(0, 20, is_whole=True),
    "verify_tls": _flag,
    "check_certificate": _flag,
    "min_tls_version": _choice("1.0", "1.1", "1.2", "1.3"),
    "retries": _number(0, 20, is_whole=True),
    "retry_interval_seconds": _number(1, 3600, is_whole=True),
    "successes_before_up": _number(1, 20, is_whole=True),
    "push_grace_seconds": _number(0, 86_400, is_whole=True),
    "tags": _texts(50, 100),
    "depends_on": _texts(200, 200),
}
WINDOW_FIELDS: Mapping[str, Reader] = {
    "name": _text(200, is_blank_allowed=False),
    "starts_at": _instant,
    "duration_minutes": _minutes,
    "rrule": _text(500),
    "timezone": _text(64),
    "enabled": _flag,
    "all": _flag,
    "tags": _texts(50, 100),
    "monitors": _texts(10_000, 200),
}
# To YAML 1.2, 200, no and 2026-11-29 are none, but who writes them here means texts.
_TEXTUAL = frozenset(
    {
        *("id", "name", "kind", "url", "method", "headers", "body", "expected_status", "keyword"),
        *("min_tls_version", "tags", "depends_on", "rrule", "timezone", "monitors"),
    }
)
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "timestamp")
)
_KEY = _text(200, is_blank_allowed=False)
_SHARED = {name: MONITOR_FIELDS[name] for name in MONITOR_FIELDS.keys() - {"name", "url"}}


def read(text: str) -> Document:
    """Raises `DocumentError` with each mistake and its line."""
    if len(text) > LONGEST:
        raise DocumentError(["The document is longer than 8 MiB."])
    try:
        _refuse_hostile(text)
        loader = yaml.SafeLoader(text)
        try:
            return _Reading(loader).document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise DocumentError([at_line(line, f"not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise DocumentError([f"not YAML: {str(error).splitlines()[0]}"]) from None


def _refuse_hostile(text: str) -> None:
    """Before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError([at_line(_line(event), "aliases are not read: use `defaults`")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise DocumentError([at_line(_line(event), "is nested too deeply")])


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Reading:
    """One reading of a document; collects what is wrong."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._problems: list[str] = []

    def document(self) -> Document:
        root = self._loader.get_single_node()
        parts = dict(self._pairs(root, "the document")) if root is not None else {}
        for name in parts.keys() - {"version", "defaults", "monitors", "maintenance"}:
            self._note(parts[name], f"there is no {name!r} here")
        if "version" in parts and self._built(parts["version"]) != VERSION:
            self._note(parts["version"], f"this program reads version {VERSION}")
        shared, _ = self._fields(parts["defaults"], _SHARED) if "defaults" in parts else ({}, {})
        document = Document(
            monitors=self._entries(parts.get("monitors"), MONITOR_FIELDS, shared, {"name"}),
            maintenance=self._entries(
                parts.get("maintenance"), WINDOW_FIELDS, {}, {"name", "starts_at"}
            ),
        )
        for window in document.maintenance.values():
            self._settle_zone(window)
        if self._problems:
            raise DocumentError(self._problems)
        return document

    def _entries(
        self,
        node: Any,
        known: Mapping[str, Reader],
        shared: Mapping[str, Any],
        needed: set[str],
    ) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        if node is None or _is_null(node):
            return entries
        if not isinstance(node, yaml.SequenceNode):
            self._note(node, "must be a list")
            return entries
        for item in node.value:
            entry = self._entry(item, known, shared, needed)
            if entry is None:
                continue
            if entry.key in entries:
                first = entries[entry.key].line
                self._note(item, f"the id {entry.key!r} is taken in line {first}")
            entries[entry.key] = entry
        return entries

    def _entry(
        self, node: Any, known: Mapping[str, Reader], shared: Mapping[str, Any], needed: set[str]
    ) -> Entry | None:
        fields, lines = self._fields(node, {"id": _KEY, **known})
        for name in sorted({"id", *needed} - lines.keys()):
            self._note(node, f"{name!r} is missing")
        key = fields.pop("id", None)
        line = node.start_mark.line + 1
        return None if key is None else Entry(key, line, {**shared, **fields}, lines)

    def _fields(
        self, node: Any, known: Mapping[str, Reader]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """What is said and right, and the line of each key, right or wrong."""
        fields: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name, value in self._pairs(node, "this"):
            if name in lines:
                self._note(value, f"{name!r} is there twice")
            lines[name] = value.start_mark.line + 1
            if name not in known:
                self._note(value, f"there is no {name!r} here")
                continue
            if name in _TEXTUAL:
                _take_as_written(value)
            try:
                fields[name] = known[name](self._built(value))
            except (ValueError, OverflowError, RecursionError) as error:
                self._note(value, f"{name} {error}")
        return fields, lines

    def _pairs(self, node: Any, what: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, yaml.MappingNode):
            self._note(node, f"{what} must be names with values")
            return
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), value
            else:
                self._note(key, "a name must be text")

    def _built(self, node: Any) -> Any:
        return self._loader.construct_document(node)

    def _settle_zone(self, window: Entry) -> None:
        """A time without a zone of its own is what clocks in the window's zone show."""
        fields: Any = window.fields
        try:
            zone = zone_of(fields.get("timezone", "UTC"))
        except MaintenanceRuleError as error:
            self._problems.append(at_line(window.line_of("timezone"), str(error)))
            return
        starts_at = fields.get("starts_at")
        if starts_at is not None and starts_at.tzinfo is None:
            fields["starts_at"] = starts_at.replace(tzinfo=zone)

    def _note(self, node: Any, problem: str) -> None:
        self._problems.append(at_line(node.start_mark.line + 1, problem))


def _take_as_written(node: Any) -> None:
    if isinstance(node, yaml.ScalarNode):
        if node.tag in _PLAIN_TAGS:
            node.tag = "tag:yaml.org,2002:str"
        return
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _take_as_written(part)


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def write(monitors: list[dict[str, Any]], maintenance: list[dict[str, Any]]) -> str:
    """The document of these, in the order given."""
    parts: dict[str, Any] = {"version": VERSION, "monitors": monitors}
    if maintenance:
        parts["maintenance"] = maintenance
    text: str = yaml.dump(
        parts, Dumper=_ExactDumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _ExactDumper(yaml.SafeDumper):
    """Every text is read back as it was."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Only between double quotes is a line break that is not a line feed written as itself.
        style = '"' if any(end in text for end in "\r\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ExactDumper.add_representer(str, _ExactDumper.represent_text)
