from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hostmaster.core.web.cells import Tone, badge, facts, instant, relative, shortened, usd_range

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (timedelta(), "now"),
        (timedelta(milliseconds=-900), "now"),
        (timedelta(seconds=25), "in 25 s"),
        (timedelta(seconds=-119), "119 s ago"),
        (timedelta(minutes=-2), "2 min ago"),
        (timedelta(minutes=119, seconds=59), "in 119 min"),
        (timedelta(hours=-2), "2 h ago"),
        (timedelta(hours=-47), "47 h ago"),
        (timedelta(days=-2), "2 days ago"),
        (timedelta(days=-800), "800 days ago"),
    ],
)
def test_relative_time_has_one_fitting_unit(distance: timedelta, words: str) -> None:
    assert relative(NOW + distance, NOW) == words


def test_exact_time_is_in_the_title() -> None:
    shown = instant(NOW, now=NOW + timedelta(minutes=5))

    assert 'datetime="2026-11-24T12:00:00+00:00"' in shown
    assert 'title="2026-11-24 12:00:00 UTC">5 min ago</time>' in shown
    assert instant(None) == "–"


def test_markup_in_values_is_only_text() -> None:
    bad = "<script>alert(1)</script>"

    for shown in (badge("✓", bad, Tone.GOOD), facts({bad: bad}), shortened(bad * 9)):
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown


def test_facts_read_as_words() -> None:
    table = facts({"age_days": 3, "is_old": True, "iops": None, "sizes": [1, 2], "in": {"a_b": 1}})

    assert ">age days</th><td>3<" in table
    assert ">is old</th><td>yes<" in table
    assert ">iops</th><td>–<" in table
    assert ">sizes</th><td>1, 2<" in table
    assert ">a b</th><td>1<" in table
    assert ">cost_centre</th>" in facts({"cost_centre": 1}, as_words=False)


def test_text_that_only_looks_like_an_instant_stays_text() -> None:
    assert "2026-99-99T00:00:00+00:00" in facts({"a": "2026-99-99T00:00:00+00:00"})
    assert ">T3.micro<" in facts({"a": "T3.micro"})


def test_saving_is_one_figure_when_both_ends_are_the_same() -> None:
    assert usd_range(Decimal("1234.5"), Decimal("1234.5")) == "$1,234.50"
    assert usd_range(Decimal("0"), Decimal("5.125")) == "$0.00 – $5.12"
