"""How we get into an account: its fields checked, its keys sealed on the row and opened again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from hostmaster.core import crypto
from hostmaster.core.jobs.retry import PermanentError
from scans.aws import shell
from scans.aws.credentials import AwsCredentials, RoleToAssume
from scans.models import Account, ScanJob

SEALED_FIELD = "credentials_sealed"

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}")
_KEY_ID = re.compile(r"\w{4,128}", re.ASCII)


class NoCredentialsHereError(PermanentError):
    """This account has neither a role nor an access key: edit it, or scan it with credentials."""


# A token wrapped by a terminal cannot be sent, and the error would quote it.
_IN_ONE_PIECE = re.compile(r"[\x21-\x7e]+")


class SimulatorNotRunningError(PermanentError):
    """This account lives in the AWS simulator, which is not running: script/run starts it."""


class CredentialsForgottenError(PermanentError):
    """The credentials this scan came with have been forgotten: request a new scan."""


def source_of(account: Account) -> AwsCredentials | RoleToAssume:
    """What proves to AWS that we may. Raises `NoCredentialsHereError`."""
    if account.role_arn:
        return RoleToAssume(account.role_arn, account.external_id)
    if account.credentials_sealed:
        return open_keys(account)
    raise NoCredentialsHereError(str(NoCredentialsHereError.__doc__))


def source_of_job(job: ScanJob) -> AwsCredentials | RoleToAssume | None:
    """The job's own credentials when it came with some, else its account's. `None`: the login of
    the shell it runs in."""
    if job.uses_shell_login:
        shell.ensure_lent()
        return None
    if not job.has_own_credentials() and job.account is not None:
        return source_of(job.account)
    if job.credentials_are_over(timezone.now()):
        raise CredentialsForgottenError(str(CredentialsForgottenError.__doc__))
    return open_keys(job)


def endpoint_of(account: Account | None) -> str:
    """Where calls about the account go; an empty text is AWS itself. A simulated account never
    asks AWS, and a real one never the simulator. Raises `SimulatorNotRunningError`."""
    if account is None or not account.is_simulated:
        return str(settings.AWS_ENDPOINT_URL)
    if not (url := settings.AWS_SIMULATOR_URL or settings.AWS_ENDPOINT_URL):
        raise SimulatorNotRunningError(" ".join(str(SimulatorNotRunningError.__doc__).split()))
    return str(url)


def seal_keys(row: Account | ScanJob, keys: AwsCredentials) -> str:
    """Sealed for this row alone: moved to another it does not open."""
    return crypto.seal(asdict(keys), context=crypto.context_for(row, SEALED_FIELD))


def open_keys(row: Account | ScanJob) -> AwsCredentials:
    """The keys sealed on this row."""
    sealed = row.credentials_sealed or ""
    return AwsCredentials(**crypto.open(sealed, context=crypto.context_for(row, SEALED_FIELD)))


def checked_role_arn(role_arn: str) -> str:
    """Raises `ValidationError` on `role_arn`."""
    if not _ROLE_ARN.fullmatch(role_arn):
        raise ValidationError(
            {"role_arn": "A role's ARN looks like arn:aws:iam::123456789012:role/name."}
        )
    return role_arn


def checked_regions(regions: Iterable[str]) -> list[str]:
    """Without doubles, in their order. Raises `ValidationError` on `regions`."""
    wanted = list(dict.fromkeys(regions))
    for region in wanted:
        if not _REGION.fullmatch(region):
            raise ValidationError({"regions": f"{region!r} is not a region such as eu-west-1."})
    return wanted


def checked_keys(given: Mapping[str, str | None]) -> AwsCredentials:
    """The keys in `given`, complete. Raises `ValidationError`, which never quotes a value."""
    known = AwsCredentials.__dataclass_fields__
    if set(given) - set(known):
        raise ValidationError({"credentials": f"Credentials are {', '.join(known)}."})
    keys = {name: value.strip() for name, value in given.items() if value and value.strip()}
    for name in ("access_key_id", "secret_access_key"):
        if name not in keys:
            raise ValidationError({name: "An access key has an id and a secret: give both."})
    if not _KEY_ID.fullmatch(keys["access_key_id"]):
        raise ValidationError({"access_key_id": "This is not an access key id."})
    for name, value in keys.items():
        if not _IN_ONE_PIECE.fullmatch(value):
            raise ValidationError({name: "This has a space or a line break in it: paste it whole."})
    return AwsCredentials(**keys)
