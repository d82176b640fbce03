"""RRULEs over wall-clock times, restricted to those that surely come again.

dateutil looks for the next time of a rule until the year 9999: 13 seconds for each 30th of February
in daily steps. So what could ask for a day that never comes is refused when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")  # finer ones walk through years by minutes

_PATTERNS = {
    "FREQ": re.compile("|".join(FREQUENCIES)),
    "INTERVAL": re.compile(r"[1-9]\d{0,2}", re.ASCII),
    "COUNT": re.compile(r"[1-9]\d{0,3}", re.ASCII),
    "UNTIL": re.compile(r"\d{8}(T\d{6}Z?)?", re.ASCII),
    "WKST": re.compile(r"MO|SU"),
    "BYDAY": re.compile(
        r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU))*"
    ),
    "BYMONTHDAY": re.compile(r"-?[1-9]\d?(,-?[1-9]\d?)*", re.ASCII),
    "BYMONTH": re.compile(r"[1-9]\d?(,[1-9]\d?)*", re.ASCII),
    "BYSETPOS": re.compile(r"-?[1-9]\d?", re.ASCII),
}
_SHORT_MONTHS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class MaintenanceRuleError(ValueError):
    """This RRULE or time zone cannot be used."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Raises `MaintenanceRuleError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MaintenanceRuleError(f"There is no time zone {name[:64]!r}.") from error


def wall_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    """What clocks on the walls there show, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


@lru_cache(maxsize=1024)
def rule_of(text: str, first: datetime, zone_name: str) -> Any:
    """The dateutil rule over wall-clock times that begins with `first`. Raises
    `MaintenanceRuleError`."""
    parts = _parts(text)
    _refuse_days_that_never_come(parts)
    try:
        if parts.get("UNTIL", "").endswith("Z"):
            instant = datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            parts["UNTIL"] = f"{wall_clock(instant, zone_of(zone_name)):%Y%m%dT%H%M%S}"
        # Cached: the times before the ones asked for are walked through once.
        rule = ";".join(f"{name}={value}" for name, value in parts.items())
        return rrulestr(rule, dtstart=first, cache=True)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise MaintenanceRuleError(f"The rule cannot be read: {error}.") from error


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, _, value = part.partition("=")
        pattern = _PATTERNS.get(name)
        if pattern is None or name in parts or not pattern.fullmatch(value):
            raise MaintenanceRuleError(f"{part[:50]!r} cannot be used in a rule.")
        parts[name] = value
    if "FREQ" not in parts:
        raise MaintenanceRuleError(f"A rule says FREQ: {', '.join(FREQUENCIES)}.")
    return parts


def _refuse_days_that_never_come(parts: Mapping[str, str]) -> None:
    months = _numbers(parts, "BYMONTH")
    days = [abs(day) for day in _numbers(parts, "BYMONTHDAY")]
    steps, frequency = int(parts.get("INTERVAL", "1")), parts["FREQ"]
    if any(month > 12 for month in months):
        raise MaintenanceRuleError("BYMONTH is 1 to 12.")
    longest = max((_SHORT_MONTHS.get(month, 31) for month in months), default=31)
    if steps > 1 and frequency in {"MONTHLY", "YEARLY"}:
        longest = 28
    if any(day > longest for day in days):
        raise MaintenanceRuleError("BYMONTHDAY names a day that may never come.")
    narrowing = {"BYMONTH"} | ({"BYDAY", "BYMONTHDAY"} if frequency == "DAILY" else set())
    if steps > 1 and narrowing & parts.keys():
        raise MaintenanceRuleError("With an INTERVAL such days may never come.")
    if "BYSETPOS" in parts:
        _check_position(parts)


def _check_position(parts: Mapping[str, str]) -> None:
    weekdays = parts.get("BYDAY", "").split(",")
    is_plain = all(len(day) == 2 for day in weekdays) and "BYMONTHDAY" not in parts
    if parts["FREQ"] != "MONTHLY" or not is_plain:
        raise MaintenanceRuleError("BYSETPOS chooses from the weekdays of a month.")
    if abs(int(parts["BYSETPOS"])) > 4 * len(weekdays):  # each weekday comes four times at least
        raise MaintenanceRuleError("BYSETPOS names a day that may never come.")


def _numbers(parts: Mapping[str, str], name: str) -> list[int]:
    return [int(value) for value in parts[name].split(",")] if name in parts else []
