"""Scans: ask for one in three ways, follow it, retry it, cancel it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from ninja import Body, Field, Query, Router, Schema, Status
from pydantic import ConfigDict, Discriminator, Tag

from hostmaster.core.jobs.models import JobAlreadyOpenError
from hostmaster.core.web.errors import ConflictError, ErrorOut, InvalidInputError
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Instant
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest
from scans.api.fields import Keys, Regions
from scans.aws.accounts import CredentialsForgottenError
from scans.aws.shell import ShellLoginGoneError
from scans.models import Account, ScanJob, ScanKind, ScanState, ScanUnit, UnitOutcome
from scans.services import request_scan, request_scan_with_credentials, request_url_scan
from scans.urls.services import LONGEST_URL

router = Router(tags=["scans"])


class ProgressOut(Schema):
    done: int
    total: int = Field(description="0: not known yet.")


class LinksOut(Schema):
    """Where to go on from here."""

    self: str = Field(examples=[f"/api/v1/scans/{EXAMPLE_ID}"])
    account: str | None
    retry: str | None = Field(description="Only for a scan that failed or timed out.")
    cancel: str | None = Field(description="Only for a scan that is not over.")


class ScanOut(Schema):
    """A scan: QUEUED → FETCHING → ANALYZING → COMPLETED, or FAILED, TIMED_OUT, CANCELLED."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    kind: ScanKind
    account: UUID | None = Field(
        description="null for a URL, and until a scan with credentials of its own has asked AWS."
    )
    url: str | None
    state: ScanState
    regions: list[str] = Field(description="Empty: the account's regions.")
    attempts: int
    run_at: datetime = Field(description="Not started before.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut
    requested_by: str = Field(examples=["token CI"])
    summary: dict[str, Any] = Field(
        description="Counts and savings of a completed scan; `is_partial` when calls were refused."
    )
    version: int
    links: LinksOut

    @staticmethod
    def resolve_account(job: ScanJob) -> UUID | None:
        return job.account_id

    @staticmethod
    def resolve_progress(job: ScanJob) -> dict[str, int]:
        return {"done": job.progress_done, "total": job.progress_total}

    @staticmethod
    def resolve_links(job: ScanJob) -> dict[str, str | None]:
        return {
            "self": _address("get_scan", job.pk),
            "account": _address("get_account", job.account_id) if job.account_id else None,
            "retry": _address("retry_scan", job.pk) if job.is_dead else None,
            "cancel": _address("cancel_scan", job.pk) if job.is_open else None,
        }


class AttemptErrorOut(Schema):
    """Why one attempt came to nothing."""

    at: datetime
    attempt: int
    type: str = Field(examples=["CredentialsRefusedError"])
    message: str
    retryable: bool


class UnitOut(Schema):
    """What one call in one region came to: a line of the coverage map."""

    service: str = Field(examples=["ec2"])
    region: str = Field(examples=["eu-west-1"])
    call: str = Field(examples=["DescribeInstances"])
    outcome: UnitOutcome = Field(
        description="Nothing of a unit that is not ok is known, so nothing of it is marked gone."
    )
    error_code: str
    message: str
    missing_action: str = Field(
        description="The IAM action to allow.", examples=["ec2:DescribeInstances"]
    )
    rows: int
    calls: int = Field(description="Requests, repeated ones included.")
    throttled: int = Field(description="Requests that AWS answered with: slower.")
    duration_ms: int


class ScanDetailOut(ScanOut):
    """A scan with its failed attempts and its coverage map."""

    errors: list[AttemptErrorOut]
    coverage: list[UnitOut]

    @staticmethod
    def resolve_coverage(job: ScanJob) -> list[ScanUnit]:
        return list(job.units.all())


class AccountScanIn(Input):
    """Scan an account by its own role or keys."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"kind": "aws", "account": EXAMPLE_ID}]}
    )

    kind: Literal["aws", "discovery"] = Field(
        "aws", description="aws: everything; discovery: the instances only."
    )
    account: UUID
    regions: Regions = Field([], description="Empty: the account's regions.")


class UrlScanIn(Input):
    """Scan a page."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "url", "url": "https://example.com/"}]},
    )

    kind: Literal["url"]
    url: str = Field(min_length=1, max_length=LONGEST_URL, pattern="^ *[Hh][Tt][Tt][Pp][Ss]?://")


class CredentialsScanIn(Input):
    """Scan an AWS account by credentials that come with the request. They are sealed and forgotten
    when the scan ends, after an hour at the latest."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "aws",
                    "credentials": {
                        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                    },
                    "regions": ["eu-west-1"],
                }
            ]
        },
    )

    kind: Literal["aws"] = "aws"
    credentials: Keys
    regions: Regions = []


# With a space: no field of a body is meant, so errors leave these names out of `loc`.
BY_ACCOUNT, BY_URL, BY_CREDENTIALS = "by account", "by URL", "by credentials"


def _form_of(body: Any) -> str:
    """Which of the three forms is meant, so that errors are about that form alone."""
    if isinstance(body, dict):
        if body.get("kind") == ScanKind.URL or "url" in body:
            return BY_URL
        return BY_CREDENTIALS if "credentials" in body else BY_ACCOUNT
    if isinstance(body, UrlScanIn):
        return BY_URL
    return BY_CREDENTIALS if isinstance(body, CredentialsScanIn) else BY_ACCOUNT


ScanIn = Annotated[
    Annotated[AccountScanIn, Tag(BY_ACCOUNT)]
    | Annotated[UrlScanIn, Tag(BY_URL)]
    | Annotated[CredentialsScanIn, Tag(BY_CREDENTIALS)],
    Discriminator(_form_of),
]


class ScanFilters(Schema):
    kind: ScanKind | None = None
    state: ScanState | None = None
    account: UUID | None = None
    created_at__gte: Instant | None = Field(None, alias="created_from")
    created_at__lt: Instant | None = Field(None, alias="created_before")


@router.get("/scans", response=list[ScanOut])
@paged
def list_scans(request: TenantRequest, filters: Query[ScanFilters]) -> QuerySet[ScanJob]:
    """Your scans, the latest first."""
    wanted = filters.model_dump(exclude_none=True, by_alias=False)
    return own(request, ScanJob).filter(**wanted).order_by("-created_at", "pk")


@router.post("/scans", response={202: ScanOut, 404: ErrorOut})
def request_a_scan(request: TenantRequest, body: Body[ScanIn]) -> Status[ScanJob]:
    """Ask for a scan: of an account, of a URL, or of whatever account the credentials open.

    Answers at once; a worker runs it. While a scan of the same account and kind, or of the same
    URL, is open, that one is answered again.
    """
    by = request.actor
    if isinstance(body, AccountScanIn):
        account = own_or_404(request, Account, body.account)
        job = request_scan(account, kind=body.kind, regions=body.regions, requested_by=by)
    elif isinstance(body, UrlScanIn):
        job = request_url_scan(request.tenant, body.url, requested_by=by)
    else:
        job = _request_with_credentials(request, body)
    return Status(202, job)


@router.get("/scans/{scan_id}", response=ScanDetailOut)
def get_scan(request: TenantRequest, scan_id: UUID) -> ScanJob:
    """One scan with the errors of its attempts and its coverage: what AWS let us see."""
    return own_or_404(request, ScanJob, scan_id)


@router.post("/scans/{scan_id}/retry", response={202: ScanOut, 409: ErrorOut})
def retry_scan(request: TenantRequest, scan_id: UUID) -> Status[ScanJob]:
    """Revive a scan that failed or timed out: all attempts anew, its history kept.

    409 for any other, for one whose credentials are forgotten, and while another scan of the
    same is open.
    """
    job = own_or_404(request, ScanJob, scan_id)
    if (reason := _why_not_retry(job)) is not None:
        raise ConflictError(reason)
    try:
        if not job.retry(actor=request.actor):
            raise ConflictError("Somebody retried this scan just now.")
    except JobAlreadyOpenError as error:
        raise ConflictError(str(error)) from error
    return Status(202, job)


@router.post("/scans/{scan_id}/cancel", response={200: ScanOut, 409: ErrorOut})
def cancel_scan(request: TenantRequest, scan_id: UUID) -> ScanJob:
    """End a scan that is not over. One that runs is taken from its worker; what it stored stays.

    409 for a scan that is over.
    """
    job = own_or_404(request, ScanJob, scan_id)
    if not job.is_open or not job.cancel(actor=request.actor):
        raise ConflictError(f"This scan is over: {job.get_state_display().lower()}.")
    return job


def _request_with_credentials(request: TenantRequest, body: CredentialsScanIn) -> ScanJob:
    try:
        return request_scan_with_credentials(
            request.tenant,
            credentials=body.credentials.revealed(),
            regions=body.regions,
            requested_by=request.actor,
        )
    except ValidationError as error:
        raise _about_credentials(error) from error


def _why_not_retry(job: ScanJob) -> str | None:
    if not job.is_dead:
        state = job.get_state_display().lower()
        return f"Only a scan that failed or timed out can be retried; this one is {state}."
    if job.credentials_are_over(timezone.now()):
        return str(CredentialsForgottenError.__doc__)
    return " ".join(str(ShellLoginGoneError.__doc__).split()) if job.uses_shell_login else None


def _about_credentials(error: ValidationError) -> InvalidInputError:
    """The service knows nothing of the form its fields came in."""
    field, messages = next(iter(error.message_dict.items()))
    name = "credentials" if field == "credentials" else f"credentials.{field}"
    return InvalidInputError(field if field == "regions" else name, messages[0])


def _address(name: str, pk: object) -> str:
    return reverse(f"api-v1:{name}", args=[pk])
