"""Maintenance windows, through both nights in which clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError

from hostmaster.core.tenants.models import Tenant
from monitors import services
from monitors.maintenance import check_window, spans, spans_of
from monitors.models import MaintenanceWindow
from tests.factories import make_tenant

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)


def window(starts_at: datetime, **more: Any) -> MaintenanceWindow:
    return MaintenanceWindow(**{"starts_at": starts_at, "duration": HOUR, **more})


def starts(made: MaintenanceWindow, since: datetime, until: datetime) -> list[str]:
    return [f"{start:%m-%d %H:%M}" for start, _ in spans(made, since, until)]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_nightly_at_two_stays_at_two_when_summer_begins() -> None:
    nightly = window(
        datetime(2026, 3, 1, 2, 0, tzinfo=BERLIN), rrule="FREQ=DAILY", timezone="Europe/Berlin"
    )
    # 01:00 UTC in winter; on the 29th 02:00 does not exist and is 03:00 (01:00 UTC); then 00:00.
    assert starts(nightly, utc(2026, 3, 28), utc(2026, 3, 30, 12)) == [
        "03-28 01:00",
        "03-29 01:00",
        "03-30 00:00",
    ]


def test_nightly_at_half_past_two_stays_when_winter_begins() -> None:
    nightly = window(
        datetime(2026, 10, 1, 2, 30, tzinfo=BERLIN), rrule="FREQ=DAILY", timezone="Europe/Berlin"
    )
    # The 25th has 02:30 twice: the first counts, once.
    assert starts(nightly, utc(2026, 10, 24), utc(2026, 10, 26, 12)) == [
        "10-24 00:30",
        "10-25 00:30",
        "10-26 01:30",
    ]


def test_a_window_lasts_as_long_in_the_night_of_the_change() -> None:
    nightly = window(
        datetime(2026, 10, 1, 1, 0, tzinfo=BERLIN),
        duration=timedelta(hours=4),
        rrule="FREQ=DAILY",
        timezone="Europe/Berlin",
    )
    ((start, end),) = spans(nightly, utc(2026, 10, 25), utc(2026, 10, 25))
    assert (start, end) == (utc(2026, 10, 24, 23), utc(2026, 10, 25, 3))


def test_both_changes_in_another_zone() -> None:
    weekly = window(
        datetime(2026, 3, 1, 1, 30, tzinfo=NEW_YORK),
        rrule="FREQ=WEEKLY;BYDAY=SU",
        timezone="America/New_York",
    )
    assert starts(weekly, utc(2026, 3, 8), utc(2026, 3, 16)) == ["03-08 06:30", "03-15 05:30"]
    assert starts(weekly, utc(2026, 11, 1), utc(2026, 11, 9)) == ["11-01 05:30", "11-08 06:30"]


def test_a_rule_may_end_at_an_instant() -> None:
    until = window(
        datetime(2026, 6, 1, 2, 0, tzinfo=BERLIN),
        rrule="FREQ=DAILY;UNTIL=20260603T000000Z",
        timezone="Europe/Berlin",
    )
    assert starts(until, utc(2026, 1, 1), utc(2027, 1, 1)) == [
        "06-01 00:00",
        "06-02 00:00",
        "06-03 00:00",
    ]


def test_once_means_once() -> None:
    once = window(utc(2026, 6, 1, 2))
    assert starts(once, utc(2026, 1, 1), utc(2027, 1, 1)) == ["06-01 02:00"]
    assert not list(spans(once, utc(2026, 6, 1, 3), utc(2026, 6, 1, 3)))
    assert list(spans(once, utc(2026, 6, 1, 2, 59), utc(2026, 6, 1, 2, 59)))


def test_overlapping_windows_count_once() -> None:
    windows = [window(utc(2026, 6, 1, 2)), window(utc(2026, 6, 1, 2, 30))]
    assert spans_of(windows, utc(2026, 6, 1), utc(2026, 6, 2)) == [
        (utc(2026, 6, 1, 2), utc(2026, 6, 1, 3, 30))
    ]


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=MINUTELY",
        "FREQ=HOURLY",
        "BYDAY=SU",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=9",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31",
        "FREQ=DAILY;BYHOUR=3",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20269999T000000Z",
        "FREQ=DAILY;FREQ=DAILY",
        "nonsense",
    ],
)
def test_rules_that_may_never_come_or_never_end_are_refused(rrule: str) -> None:
    with pytest.raises(ValidationError):
        check_window(window(utc(2026, 2, 1), rrule=rrule))
    assert not list(spans(window(utc(2026, 2, 1), rrule=rrule), utc(2026, 2, 1), utc(2026, 3, 1)))


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        check_window(window(utc(2026, 2, 1), timezone="Mars/Olympus"))
    with pytest.raises(ValidationError):
        check_window(window(utc(2026, 2, 1), timezone="../../etc/passwd"))


@pytest.mark.django_db
@pytest.mark.both_databases
class TestWhoIsMeant:
    def test_by_name_by_tag_or_all(self) -> None:
        tenant: Tenant = make_tenant()
        named = services.add_monitor(tenant, name="Named", url="http://example.com")
        tagged = services.add_monitor(tenant, name="Tagged", url="http://example.com", tags=["db"])
        at = utc(2026, 6, 1, 2, 30)
        by_name = services.add_maintenance(
            tenant, name="One", starts_at=utc(2026, 6, 1, 2), duration=HOUR, monitors=[named]
        )
        by_tag = services.add_maintenance(
            tenant, name="Tag", starts_at=utc(2026, 6, 1, 2), duration=HOUR, tags=["db", "web"]
        )
        assert services.maintenance_of(named, at) == by_name
        assert services.maintenance_of(tagged, at) == by_tag
        assert services.maintenance_of(named, at + HOUR) is None

        for made in (by_name, by_tag):
            made.enabled = False
            made.save()
        assert not services.is_in_maintenance(named, at)
        services.add_maintenance(
            tenant, name="All", starts_at=utc(2026, 6, 1, 2), duration=HOUR, is_for_all=True
        )
        assert services.is_in_maintenance(named, at)
        assert services.is_in_maintenance(tagged, at)

    def test_another_tenants_windows_are_not_ours(self) -> None:
        ours = services.add_monitor(make_tenant(), name="Ours", url="http://example.com")
        services.add_maintenance(
            make_tenant(), name="All", starts_at=utc(2026, 6, 1, 2), duration=HOUR, is_for_all=True
        )
        assert not services.is_in_maintenance(ours, utc(2026, 6, 1, 2, 30))

        with pytest.raises(ValidationError):
            services.add_maintenance(
                make_tenant(),
                name="Theirs",
                starts_at=utc(2026, 6, 1, 2),
                duration=HOUR,
                monitors=[ours],
            )
