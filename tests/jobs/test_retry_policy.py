"""When next: the customer's delays, and no attempt number that cannot be answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostmaster.core.jobs.retry import RetryPolicy


@pytest.mark.parametrize(("retry", "seconds"), [(1, 5), (2, 25), (3, 125), (4, 600), (5, 600)])
def test_delays_grow_by_five_up_to_the_longest(settings: Any, retry: int, seconds: int) -> None:
    settings.RETRY_DELAY = 5000
    assert RetryPolicy().delay_before(retry) == timedelta(seconds=seconds)


@given(st.integers(1, 40_000), st.integers(1, 3_600_000))
def test_every_attempt_has_a_delay_within_bounds(retry: int, longest_ms: int) -> None:
    longest = timedelta(milliseconds=longest_ms)
    assert timedelta() < RetryPolicy(longest=longest).delay_before(retry) <= longest


def test_without_a_number_of_its_own_a_policy_follows_max_retries(settings: Any) -> None:
    settings.MAX_RETRIES = 3
    assert RetryPolicy(max_attempts=None).attempts_allowed() == 4
    assert RetryPolicy(max_attempts=3).attempts_allowed() == 3
