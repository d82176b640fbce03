"""Instants as AWS writes them, and what its refusals mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scans.aws.answers import instant
from scans.aws.errors import Outcome, classify, outcome_of
from scans.aws.throttle import Tally

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        1795694400,
        1795694400.0,
        "1795694400",
        "2026-11-26T12:00:00Z",
        "2026-11-26T12:00:00.000Z",
        "2026-11-26T13:00:00+01:00",
        "2026-11-26T12:00:00",
        "Thu, 26 Nov 2026 12:00:00 GMT",
    ],
)
def test_every_way_to_write_noon(text: Any) -> None:
    found = instant(text)
    assert found == NOON
    assert found.utcoffset() == NOON.utcoffset()


def denied(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "DescribeX")


USER = "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: rds:DescribeX"


@pytest.mark.parametrize(
    ("message", "begins", "missing"),
    [
        (f"{USER} because no identity-based policy allows it", "User", "rds:DescribeX"),
        (f"{USER} with an explicit deny in a service control policy", "Your organization", ""),
        (f"{USER} because no service control policy allows it", "Your organization", ""),
        (f"{USER} with an explicit deny in a resource control policy", "Your organization", ""),
        (f"{USER} with an explicit deny in an identity-based policy", "You forbid", ""),
        (f"{USER} with an explicit deny in a permissions boundary", "You forbid", ""),
        ("Access Denied", "Access Denied", "rds:DescribeY"),
    ],
)
def test_only_what_allowing_helps_is_a_missing_action(
    message: str, begins: str, missing: str
) -> None:
    found = classify(denied(message), iam_action="rds:DescribeY")
    assert found.outcome == Outcome.DENIED
    assert found.message.startswith(begins)
    assert found.missing_action == missing


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({}, "ok"),
        ({"Error": {"Code": "NoSuchLifecycleConfiguration"}}, "ok"),
        ({"Error": {"Code": "AccessDenied"}}, "denied"),
        ({"Error": {"Code": "SlowDown"}}, "throttled"),
        ({"Error": {"Code": "OptInRequired"}}, "not_enabled"),
        ({"Error": {"Code": "InternalError"}}, "error"),
        (None, "error"),
    ],
)
def test_a_tally_counts_each_answer_once(answer: dict[str, Any] | None, outcome: str) -> None:
    tally = Tally()
    tally.count(answer)
    assert tally.outcomes == {outcome: 1}
    assert (tally.calls, tally.throttled) == (1, int(outcome == "throttled"))


def test_unknown_codes_are_errors() -> None:
    assert outcome_of("SomethingNew") == Outcome.ERROR
