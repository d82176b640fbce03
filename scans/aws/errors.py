"""What an AWS error means for a scan: the outcome of one unit, or credentials that are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)
from botocore.parsers import ResponseParserError

from scans.aws.regions import DEFAULT_REGIONS


class CredentialsRefusedError(Exception):
    """AWS does not accept the credentials of this account."""


class UnreadableAnswerError(Exception):
    """AWS's answer came in part only."""


# What a collector may raise because of AWS; anything else is a bug of ours and must be seen.
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError, UnreadableAnswerError)


class Outcome(StrEnum):
    OK = "ok"
    DENIED = "denied"  # a permission is missing, or an organization's policy forbids it
    NOT_ENABLED = "not_enabled"  # the account has not opted in to this region or service
    THROTTLED = "throttled"  # AWS kept asking for fewer calls
    ERROR = "error"


class OwnIdentityError(Exception):
    """hostmaster's own AWS login, by which it assumes the roles of accounts, is not accepted: an
    operator has to renew it. It says nothing about any account."""


@dataclass(frozen=True)
class UnitOutcome:
    """How one unit (service, region, call) ended; no field holds a secret."""

    outcome: Outcome
    code: str = ""  # AWS's word for an error
    message: str = ""
    missing_action: str = ""  # the IAM action to allow, for a denied unit
    is_refusal: bool = False  # the credentials themselves were not accepted


DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess"}
)
NOT_ENABLED_CODES = frozenset(
    {"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"}
)
THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
# A region the account never opted in to answers with these although the keys are good.
UNKNOWN_KEY_CODES = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException"}
)
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
SIGNATURE_CODES = frozenset(
    {"IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"}
)
REFUSAL_CODES = UNKNOWN_KEY_CODES | EXPIRED_CODES | SIGNATURE_CODES

NO_CREDENTIALS_ERRORS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    SSOError,
)

# Words of AWS for a policy that forbids what another allows: allowing it once more helps nobody.
_FORBIDDEN_BY = re.compile(
    r"explicit deny in an? ([a-z -]*?(?:policy|permissions boundary))"
    r"|no (service control policy|resource control policy|permissions boundary) allows"
)
_ORGANIZATION = frozenset({"service control policy", "resource control policy"})
_MISSING_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_ENCODED_DETAIL = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
_ACCESS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b")
_LONGEST_MESSAGE = 300


def classify(error: Exception, *, region: str = "", iam_action: str = "") -> UnitOutcome:
    """How the unit failed that raised `error`, one of `AWS_ERRORS`.

    `iam_action` is what the call needs, named when AWS does not name it. An unknown key in an
    opt-in region means the region is off; everywhere else it means the key is refused.
    """
    code = error_code(error)
    if code in REFUSAL_CODES or isinstance(error, NO_CREDENTIALS_ERRORS):
        is_off = code in UNKNOWN_KEY_CODES and bool(region) and region not in DEFAULT_REGIONS
        if is_off:
            message = f"The account has not enabled {region} ({code})."
            return UnitOutcome(Outcome.NOT_ENABLED, code, message, is_refusal=True)
        return UnitOutcome(Outcome.ERROR, code, refusal_reason(error), is_refusal=True)
    outcome = outcome_of(code)
    if outcome == Outcome.DENIED:
        return _denied(error, iam_action)
    return UnitOutcome(outcome, code, safe_message(error))


def outcome_of(code: str) -> Outcome:
    """What an error code of AWS means for the call that met it."""
    if code in DENIED_CODES:
        return Outcome.DENIED
    if code in NOT_ENABLED_CODES:
        return Outcome.NOT_ENABLED
    return Outcome.THROTTLED if code in THROTTLING_CODES else Outcome.ERROR


def _denied(error: Exception, iam_action: str) -> UnitOutcome:
    """With the action to allow, unless a policy forbids it: then allowing it would not help."""
    code, message = error_code(error), safe_message(error)
    forbidden_by = forbidding_policy(error)
    if not forbidden_by:
        return UnitOutcome(Outcome.DENIED, code, message, missing_action(error) or iam_action)
    whose = "Your organization forbids" if forbidden_by in _ORGANIZATION else "You forbid"
    action = missing_action(error) or iam_action or "this"
    sentence = f"{whose} {action} here, by a {forbidden_by}. {message}"
    return UnitOutcome(Outcome.DENIED, code, sentence[:_LONGEST_MESSAGE])


def forbidding_policy(error: Exception) -> str:
    """The kind of policy that forbids the call whatever else allows it, or an empty text."""
    found = _FORBIDDEN_BY.search(_raw_message(error))
    return (found.group(1) or found.group(2)) if found else ""


def is_refusal(error: Exception) -> bool:
    """AWS did not accept the credentials themselves, whatever was asked."""
    return error_code(error) in REFUSAL_CODES or isinstance(error, NO_CREDENTIALS_ERRORS)


def raise_if_refused(outcomes: Iterable[UnitOutcome]) -> None:
    """Raise `CredentialsRefusedError` when every unit was refused, and not only by regions that
    may be off."""
    seen = list(outcomes)
    certain = [unit for unit in seen if unit.is_refusal and unit.outcome == Outcome.ERROR]
    if certain and all(unit.is_refusal for unit in seen):
        raise CredentialsRefusedError(certain[0].message)


def error_code(error: Exception) -> str:
    """AWS's error code, or the name of the error when AWS never answered."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or "Unknown"
    return type(error).__name__


def missing_action(error: Exception) -> str:
    """The IAM action AWS says is missing, or an empty text."""
    found = _MISSING_ACTION.search(_raw_message(error))
    return found.group(1) if found else ""


def safe_message(error: Exception) -> str:
    """AWS's sentence without key ids and encoded detail, cut to a readable length."""
    message = _ENCODED_DETAIL.sub("", _raw_message(error))
    return _ACCESS_KEY_ID.sub("***", message).strip()[:_LONGEST_MESSAGE]


def refusal_reason(error: Exception) -> str:
    """Why the credentials were refused and what to do.

    Never AWS's own words: a signature error quotes the signed request, session token included.
    """
    code = error_code(error)
    if code in EXPIRED_CODES:
        return f"The session token has expired ({code}). Enter fresh credentials, or use a role."
    if code in SIGNATURE_CODES:
        return (
            f"The secret access key does not belong to the access key id ({code}). "
            "Enter both again, and check this machine's clock."
        )
    if isinstance(error, NO_CREDENTIALS_ERRORS):
        return (
            f"No AWS credentials were found here ({code}). Log in with the AWS CLI, or set "
            "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return (
        f"AWS does not know the access key ({code}). Check that it is active and typed in whole; "
        "a key made in the last seconds needs a moment."
    )


def _raw_message(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Message", ""))
    if isinstance(error, ResponseParserError):
        return "AWS's answer cannot be read."  # botocore quotes all of it
    if type(error) is HTTPClientError:
        return "The request could not be sent."  # what it could not send may be a token
    return str(error)
