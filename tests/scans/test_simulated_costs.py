"""Cost Explorer of the simulator: whatever a scan asks is answered, by figures that agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from scans.aws.clients import open_session
from scans.aws.costs.explorer import QUESTIONS, DayCosts, Remainder, Requests, Subject
from scans.aws.costs.refresh import outcome_of
from scans.aws.errors import AWS_ERRORS, Outcome
from scans.aws.simulator import SIMULATED_ACCOUNT_ID, SIMULATED_KEYS, Simulator, seed_demo
from scans.models import CostMetric

pytestmark = [pytest.mark.services]

Answers = dict[str, Sequence[object]]


def ask_everything() -> tuple[Answers, dict[str, Outcome]]:
    """Each question's answers, and how those ended that had none."""
    today = timezone.now().date()
    subject = Subject(SIMULATED_ACCOUNT_ID, today, today - timedelta(days=92))
    answers, failed = Answers(), dict[str, Outcome]()
    with open_session(SIMULATED_KEYS) as session:
        client = session.client("ce")
        for question in QUESTIONS:
            try:
                answers[question.call] = list(question.ask(client, subject, Requests()))
            except AWS_ERRORS as error:
                failed[question.call] = outcome_of(error, question).outcome
    return answers, failed


def test_an_account_that_cost_nothing_has_no_forecast_and_no_failure(
    aws_simulator: Simulator,
) -> None:
    answers, failed = ask_everything()
    assert failed == {"GetCostForecast": Outcome.OK}
    assert answers["GetCostAndUsage"] == []


def test_the_demo_costs_the_same_by_service_and_by_region(aws_simulator: Simulator) -> None:
    seed_demo(aws_simulator.endpoint_url)
    answers, failed = ask_everything()
    assert failed == {}
    by_service, by_region = (
        totals(answers[call]) for call in ("GetCostAndUsage", "GetCostAndUsage by region")
    )
    assert len(by_service) == 93
    assert by_service == pytest.approx(by_region, abs=1e-4)
    assert min(by_service.values()) > 0
    (rest,) = answers["GetCostForecast"]
    assert isinstance(rest, Remainder)
    assert 0 < rest.low_usd < rest.usd < rest.high_usd


def test_what_the_demo_cost_is_forgotten_with_it(aws_simulator: Simulator) -> None:
    seed_demo(aws_simulator.endpoint_url)
    aws_simulator.reset()
    assert ask_everything()[0]["GetCostAndUsage"] == []


def totals(days: Sequence[object]) -> dict[str, float]:
    """Unblended USD by day."""
    found: dict[str, float] = {}
    for day in days:
        assert isinstance(day, DayCosts)
        of_day = [a.usd for a in day.amounts if a.metric == CostMetric.UNBLENDED]
        found[day.day.isoformat()] = float(sum(of_day))
    return found
