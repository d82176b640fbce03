"""Roll-ups: folding is exact, and may be repeated."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from monitors import histograms, rollups, services
from monitors.models import Monitor, MonitorRollup, MonitorStateInterval, RollupPeriod
from tests.factories import make_tenant

HOUR = datetime(2026, 6, 1, 10, tzinfo=UTC)
times = st.lists(st.integers(0, 600_000), max_size=60)


@given(times, times)
def test_joined_histograms_are_the_histogram_of_all(first: list[int], second: list[int]) -> None:
    text = {
        name: " ".join(map(histograms.text_of, values))
        for name, values in {"first": first, "second": second, "all": first + second}.items()
    }
    joined = histograms.merge([text["first"], text["second"]])
    assert joined == histograms.compact(text["all"])
    assert histograms.parse(joined).total() == len(first + second)


@given(st.lists(st.integers(1, 600_000), min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_percentiles_are_off_by_at_most_four_percent(values: list[int], percent: int) -> None:
    counts = histograms.parse(" ".join(map(histograms.text_of, values)))
    exact = sorted(values)[max(-(-len(values) * percent // 100), 1) - 1]
    assert histograms.percentile(counts, percent) == pytest.approx(exact, rel=0.0401)


def make_monitor() -> Monitor:
    return services.add_monitor(make_tenant(), name="Site", url="http://example.com")


def make_five_minutes(monitor: Monitor, bucket: datetime, times_ms: list[int]) -> None:
    MonitorRollup.objects.create(
        monitor=monitor,
        period="5m",
        bucket=bucket,
        checks=len(times_ms) + 1,
        failures=1,
        timed=len(times_ms),
        response_ms_sum=sum(times_ms),
        response_ms_max=max(times_ms),
        tls_ms_sum=7,
        tls_ms_max=7,
        histogram=" ".join(map(histograms.text_of, times_ms)),
    )


@pytest.mark.django_db
@pytest.mark.both_databases
class TestFolding:
    def test_an_hour_is_its_twelve_parts_and_repeating_changes_nothing(self) -> None:
        monitor = make_monitor()
        values = [[random.randint(1, 5000) for _ in range(10)] for _ in range(12)]
        for number, part in enumerate(values):
            make_five_minutes(monitor, HOUR + number * timedelta(minutes=5), part)
        make_five_minutes(monitor, HOUR + timedelta(hours=1), [9000])  # not of this hour

        for _ in range(2):
            assert rollups.fold(RollupPeriod.HOUR, HOUR) == 1

        hour = MonitorRollup.objects.get(period="1h")
        every = [value for part in values for value in part]
        assert (hour.checks, hour.failures, hour.timed) == (132, 12, 120)
        assert (hour.response_ms_sum, hour.response_ms_max) == (sum(every), max(every))
        assert (hour.tls_ms_sum, hour.tls_ms_max) == (84, 7)
        assert hour.histogram == histograms.compact(" ".join(map(histograms.text_of, every)))

    def test_everything_that_is_over_is_folded_after_a_pause(self) -> None:
        monitor = make_monitor()
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        for days_ago in (3, 2, 1):
            make_five_minutes(monitor, today - timedelta(days=days_ago, minutes=-90), [100])

        rollups.roll_up()
        rollups.roll_up()

        assert MonitorRollup.objects.filter(period="1h").count() == 3
        days = MonitorRollup.objects.filter(period="1d").order_by("bucket")
        assert [day.checks for day in days] == [2, 2, 2]
        assert [day.bucket for day in days] == [today - timedelta(days=n) for n in (3, 2, 1)]

    def test_closed_buckets_say_how_long_it_was_up(self) -> None:
        monitor = make_monitor()
        bucket = rollups.start_of(RollupPeriod.FIVE_MINUTES, timezone.now() - timedelta(minutes=20))
        make_five_minutes(monitor, bucket, [100])
        MonitorStateInterval.objects.all().delete()
        for state, start, end in [("up", 0, 120), ("down", 120, 180), ("up", 180, None)]:
            MonitorStateInterval.objects.create(
                monitor=monitor,
                state=state,
                started_at=bucket + timedelta(seconds=start),
                ended_at=None if end is None else bucket + timedelta(seconds=end),
            )
        services.add_maintenance(
            monitor.tenant,
            name="Window",
            starts_at=bucket + timedelta(seconds=150),
            duration=timedelta(seconds=60),
            is_for_all=True,
        )

        rollups.roll_up()

        row = MonitorRollup.objects.get(period="5m")
        assert (row.seconds_up, row.seconds_down) == (120 + 90, 30)
        assert (row.seconds_unknown, row.seconds_maintenance) == (0, 60)

    def test_percentiles_come_from_the_buckets_of_the_time_asked_for(self) -> None:
        monitor = make_monitor()
        bucket = rollups.start_of(RollupPeriod.FIVE_MINUTES, timezone.now() - timedelta(hours=1))
        make_five_minutes(monitor, bucket, list(range(1, 101)))
        make_five_minutes(monitor, bucket - timedelta(hours=5), [5000] * 100)

        found = services.latency_percentiles(monitor, bucket, timezone.now())

        assert found.timed == 100
        assert found.p50_ms == pytest.approx(50, rel=0.05)
        assert found.p99_ms == pytest.approx(99, rel=0.05)

    def test_buckets_from_before_a_long_outage_say_it_too_a_part_a_run(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monitor = make_monitor()
        MonitorStateInterval.objects.all().delete()
        long_ago = rollups.start_of(RollupPeriod.HOUR, timezone.now() - timedelta(days=40))
        MonitorStateInterval.objects.create(monitor=monitor, state="up", started_at=long_ago)
        for number in range(5):
            make_five_minutes(monitor, long_ago + number * timedelta(minutes=5), [100])
        monkeypatch.setattr(rollups, "FILLED_A_RUN", 2)

        unfilled = MonitorRollup.objects.unfilled().filter(period="5m")
        left = []
        for _ in range(3):
            rollups.roll_up()
            left.append(unfilled.count())

        assert left == [3, 1, 0]
        found = MonitorRollup.objects.values_list("period", "seconds_up").distinct()
        assert {("5m", 300), ("1h", 3600)} < set(found)

    def test_years_without_checks_are_not_folded_hour_by_hour(
        self, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        monitor = make_monitor()
        for days_ago in (2000, 1):
            make_five_minutes(monitor, timezone.now() - timedelta(days=days_ago), [100])
        with django_assert_max_num_queries(100):
            rollups.roll_up()
        assert MonitorRollup.objects.filter(period="1d").count() == 2

    def test_looking_for_buckets_to_fill_reads_no_others(self) -> None:
        waiting = MonitorRollup.objects.unfilled().filter(period="5m", bucket__lte=HOUR)
        assert "monitor_rollups_unfilled" in waiting.order_by("-bucket").explain()
