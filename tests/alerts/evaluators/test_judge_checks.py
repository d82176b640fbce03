"""What the checks of a monitor come to: at, below and above each threshold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.evaluators import down, slow_response, ssl_expiry
from alerts.evaluators.checks import Check
from alerts.evaluators.ssl_expiry import Chain
from alerts.evaluators.types import Outcome

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRING, CLEAR, HELD = Outcome.FIRING, Outcome.CLEAR, Outcome.HELD


def check(success: bool = False, ms: int | None = None, code: str | None = None) -> Check:
    return Check(success, ms, code, None, None, NOW)


def checks(text: str) -> list[Check]:
    """`f` failed, `s` succeeded, `o` our own outage; the newest first."""
    return [check(c == "s", code="own_outage" if c == "o" else None) for c in text]


@pytest.mark.parametrize(
    ("newest_first", "outcome"),
    [
        ("fff", FIRING),
        ("ffff", FIRING),
        ("fffs", FIRING),
        ("ff", HELD),  # too few to tell
        ("ffs", CLEAR),  # not three in a row
        ("s", CLEAR),
        ("sfff", CLEAR),
        ("fsf", CLEAR),
        ("", HELD),
        ("ooo", HELD),
        ("offf", FIRING),
        ("foff", FIRING),
        ("ffo", HELD),
        ("osfff", CLEAR),
    ],
)
def test_down_counts_failures_in_a_row(newest_first: str, outcome: Outcome) -> None:
    assert down.judge(3, checks(newest_first)) is outcome


@pytest.mark.parametrize(
    ("newest_first", "outcome"),
    [("sfff", HELD), ("ssfff", CLEAR), ("sosfff", CLEAR), ("s", HELD), ("fs", CLEAR)],
)
def test_down_is_over_after_as_many_successes_as_the_monitor_asks(
    newest_first: str, outcome: Outcome
) -> None:
    assert down.judge(3, checks(newest_first), successes_before_up=2) is outcome


@given(st.text(alphabet="fso", max_size=30), st.integers(1, 10))
def test_down_fires_exactly_when_the_last_n_that_count_failed(text: str, failures: int) -> None:
    counted = text.replace("o", "")
    expected = counted[:failures] == "f" * failures
    assert (down.judge(failures, checks(text)) is FIRING) == expected


@pytest.mark.parametrize(
    ("milliseconds", "outcome"),
    [
        ([2001, 2001, 2001], FIRING),
        ([2000, 2001, 2001], HELD),  # at the threshold is not beyond it
        ([2001, 2001], HELD),
        ([2001, 2001, 1000], HELD),
        ([1800, 1800, 1800], CLEAR),
        ([1801, 1800, 1800], HELD),  # between: nothing changes
        ([1000, 1000, 1000, 5000], CLEAR),
        ([5000, 1000, 1000], HELD),
        ([], HELD),
    ],
)
def test_slow_response_waits_for_k_in_a_row_both_ways(
    milliseconds: list[int], outcome: Outcome
) -> None:
    assert slow_response.judge(2000, 3, 0.9, milliseconds) is outcome


def test_slow_response_measures_successes_only() -> None:
    rows = [check(True, 10), check(False, 9000), check(True), check(True, 20)]
    assert [ms for ms, _ in slow_response.measured(rows)] == [10, 20]


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        (timedelta(days=14, seconds=1), CLEAR),
        (timedelta(days=14), FIRING),
        (timedelta(days=1), FIRING),
        (-timedelta(seconds=1), FIRING),
        (timedelta(days=365), CLEAR),
    ],
)
def test_ssl_expiry_fires_within_its_days(left: timedelta, outcome: Outcome) -> None:
    chain = Chain(is_valid=True, expires_at=NOW + left)
    assert ssl_expiry.judge(14, chain, NOW, minds_invalid=True)[0] is outcome


def test_ssl_expiry_looks_at_the_whole_chain() -> None:
    soon = ("CN=Intermediate", NOW + timedelta(days=3))
    chain = Chain(is_valid=True, expires_at=NOW + timedelta(days=90), others=[soon])
    outcome, facts = ssl_expiry.judge(14, chain, NOW, minds_invalid=True)
    assert outcome is FIRING
    assert facts == (
        "The chain's certificate CN=Intermediate expires in 3 days, on 2026-11-27 12:00 UTC"
    )


def test_a_root_that_was_sent_along_does_not_count() -> None:
    end = (NOW + timedelta(days=1)).isoformat()
    sent = [
        {"subject": "CN=leaf", "issuer": "CN=root", "not_after": end},
        {"subject": "CN=root", "issuer": "CN=root", "not_after": end},
        {"subject": "CN=between", "issuer": "CN=root", "not_after": end},
        "nonsense",
    ]
    assert ssl_expiry.others_of(sent) == [("CN=between", NOW + timedelta(days=1))]


@pytest.mark.parametrize(
    ("chain", "minds", "outcome", "facts"),
    [
        (Chain(), True, HELD, ""),
        (
            Chain(is_valid=False, reason="self-signed"),
            True,
            FIRING,
            "The certificate is not valid: self-signed",
        ),
        (Chain(is_valid=False, reason="self-signed"), False, CLEAR, ""),
        (Chain(is_valid=True), True, CLEAR, ""),
    ],
)
def test_ssl_expiry_tells_of_invalid_certificates_where_somebody_minds(
    chain: Chain, minds: bool, outcome: Outcome, facts: str
) -> None:
    assert ssl_expiry.judge(14, chain, NOW, minds_invalid=minds) == (outcome, facts)
