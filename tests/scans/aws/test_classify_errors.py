"""What AWS's errors mean for a unit, and what people are told."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from scans.aws.errors import (
    CredentialsRefusedError,
    Outcome,
    UnitOutcome,
    classify,
    is_refusal,
    raise_if_refused,
)
from scans.models import ScanUnit

KEY_ID = "AKIAZZZZCANARY000001"
TOKEN = "canary-session-token"


def aws_error(code: str, message: str = "No.") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeInstances")


@pytest.mark.parametrize(
    ("code", "region", "outcome"),
    [
        ("UnauthorizedOperation", "us-east-1", Outcome.DENIED),
        ("AccessDenied", "us-east-1", Outcome.DENIED),
        ("AccessDeniedException", "eu-west-1", Outcome.DENIED),
        ("OptInRequired", "us-east-1", Outcome.NOT_ENABLED),
        ("AuthFailure", "af-south-1", Outcome.NOT_ENABLED),
        ("InvalidClientTokenId", "me-central-1", Outcome.NOT_ENABLED),
        ("UnrecognizedClientException", "eu-south-1", Outcome.NOT_ENABLED),
        ("InvalidClientTokenId", "eu-west-1", Outcome.ERROR),
        ("AuthFailure", "us-east-1", Outcome.ERROR),
        ("ExpiredToken", "af-south-1", Outcome.ERROR),
        ("SignatureDoesNotMatch", "af-south-1", Outcome.ERROR),
        ("RequestLimitExceeded", "us-east-1", Outcome.THROTTLED),
        ("Throttling", "us-east-1", Outcome.THROTTLED),
        ("ThrottlingException", "us-east-1", Outcome.THROTTLED),
        ("InternalError", "us-east-1", Outcome.ERROR),
    ],
)
def test_code_decides_the_outcome(code: str, region: str, outcome: Outcome) -> None:
    unit = classify(aws_error(code), region=region)
    assert (unit.outcome, unit.code) == (outcome, code)


def test_outcomes_are_those_the_table_allows() -> None:
    assert {outcome.value for outcome in Outcome} == set(ScanUnit.Outcome.values)


def test_no_answer_is_an_error_by_its_name() -> None:
    unreachable = EndpointConnectionError(endpoint_url="https://ec2.eu-west-1.amazonaws.com")
    assert classify(unreachable).code == "EndpointConnectionError"
    assert classify(ConnectTimeoutError(endpoint_url="https://x")).outcome == Outcome.ERROR


def test_denied_unit_names_the_action_aws_names() -> None:
    message = (
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/a "
        "is not authorized to perform: ec2:DescribeInstances because no identity-based policy "
        "allows it. Encoded authorization failure message: AbCdEf0123456789"
    )
    unit = classify(aws_error("UnauthorizedOperation", message), iam_action="ec2:DescribeOther")
    assert unit.missing_action == "ec2:DescribeInstances"
    assert "Encoded" not in unit.message
    assert "no identity-based policy" in unit.message


def test_denied_unit_falls_back_on_the_action_of_the_call() -> None:
    unit = classify(aws_error("UnauthorizedOperation"), iam_action="ec2:DescribeVolumes")
    assert unit.missing_action == "ec2:DescribeVolumes"


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("InvalidClientTokenId", "active and typed in whole"),
        ("AuthFailure", "active and typed in whole"),
        ("SignatureDoesNotMatch", "Enter both again"),
        ("ExpiredToken", "fresh credentials"),
    ],
)
def test_refused_credentials_name_the_fix_and_quote_nothing(code: str, fix: str) -> None:
    message = f"String to sign: x-amz-security-token:{TOKEN} Credential={KEY_ID}/20261124"
    unit = classify(aws_error(code, message), region="us-east-1")
    assert unit.is_refusal
    assert fix in unit.message
    assert TOKEN not in unit.message
    assert KEY_ID not in unit.message


def test_key_ids_are_masked_in_any_message() -> None:
    unit = classify(aws_error("InternalError", f"The key {KEY_ID} made us stumble."))
    assert unit.message == "The key *** made us stumble."


def test_missing_shell_credentials_are_a_refusal_that_says_how_to_log_in() -> None:
    error = NoCredentialsError()
    assert is_refusal(error)
    assert "AWS_PROFILE" in classify(error).message


def test_credentials_are_refused_only_when_every_unit_was() -> None:
    refused = classify(aws_error("AuthFailure"), region="us-east-1")
    off = classify(aws_error("AuthFailure"), region="af-south-1")
    raise_if_refused([])
    raise_if_refused([off, off])
    raise_if_refused([refused, UnitOutcome(Outcome.OK)])
    with pytest.raises(CredentialsRefusedError, match="does not know the access key"):
        raise_if_refused([off, refused])
