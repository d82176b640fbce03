"""How a check moves a monitor, reckoned by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitors.states import Outcome, Standing, Verdict, judge

T0 = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
S, F, U = Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNSEEN


def walk(
    start: str, outcomes: list[Outcome], *, retries: int = 1, successes: int = 1
) -> list[Verdict]:
    """The verdicts of checks a minute apart."""
    standing, verdicts = Standing(start), []
    for minute, outcome in enumerate(outcomes):
        at = T0 + timedelta(minutes=minute)
        verdict = judge(standing, outcome, at, retries=retries, successes_before_up=successes)
        verdicts.append(verdict)
        standing = Standing(*verdict[:4])
    return verdicts


def states(verdicts: list[Verdict]) -> str:
    return " ".join(verdict.state for verdict in verdicts)


def test_one_failure_waits_for_its_recheck() -> None:
    (verdict,) = walk("up", [F])
    assert (verdict.state, verdict.is_pending, verdict.changed_at) == ("up", True, None)


def test_down_counts_from_the_first_failure() -> None:
    assert walk("up", [F, F])[-1] == Verdict("down", 2, 0, None, T0)


def test_a_success_between_failures_starts_them_anew() -> None:
    assert states(walk("up", [F, S, F, S])) == "up up up up"
    assert walk("up", [F, S])[-1].pending_since is None


def test_without_retries_one_failure_is_enough() -> None:
    assert states(walk("up", [F], retries=0)) == "down"


def test_up_is_confirmed_by_as_many_successes_as_asked() -> None:
    verdicts = walk("down", [S, S, F, S, S, S], successes=3)
    assert states(verdicts) == "down down down down down up"
    assert verdicts[-1].changed_at == T0 + timedelta(minutes=3)


def test_a_new_monitor_is_up_at_its_first_success_and_down_when_confirmed() -> None:
    assert states(walk("unknown", [S], successes=3)) == "up"
    assert states(walk("unknown", [F, F])) == "unknown down"


def test_our_own_outage_makes_unknown_and_forgets_unconfirmed_failures() -> None:
    verdicts = walk("up", [F, U, F, F])
    assert states(verdicts) == "up unknown unknown down"
    assert verdicts[1].changed_at == T0
    assert verdicts[3].changed_at == T0 + timedelta(minutes=2)


def test_our_own_outage_says_nothing_new_about_one_that_is_down() -> None:
    assert states(walk("down", [U, U])) == "down down"


@given(
    st.sampled_from(["up", "down", "unknown"]),
    st.lists(st.sampled_from([S, F, U]), max_size=30),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_down_needs_its_failures_and_up_its_successes(
    start: str, outcomes: list[Outcome], retries: int, successes: int
) -> None:
    verdicts = walk(start, outcomes, retries=retries, successes=successes)
    before = start
    for index, verdict in enumerate(verdicts):
        seen = outcomes[: index + 1]
        if before != "down" and verdict.state == "down":
            assert seen[-(retries + 1) :] == [F] * (retries + 1)
        if before == "down" and verdict.state == "up":
            said = [outcome for outcome in seen if outcome is not U]
            assert said[-successes:] == [S] * successes
        assert (verdict.state != before) == (verdict.changed_at is not None)
        before = verdict.state
