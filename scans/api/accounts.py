"""AWS accounts: add, mend, prove access, look again, forget."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from hostmaster.core.crypto import SealError
from hostmaster.core.tenants.models import Role
from hostmaster.core.web.errors import ApiError, ConflictError, ErrorOut
from hostmaster.core.web.fields import EXAMPLE_ID, Version
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import CHANGED_MEANWHILE, ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest, require_role
from scans.api.fields import EXAMPLE_NUMBER, Keys, Name, Regions, RoleArn
from scans.api.scans import ScanOut
from scans.aws.accounts import NoCredentialsHereError, SimulatorNotRunningError
from scans.aws.errors import AWS_ERRORS, OwnIdentityError, safe_message
from scans.aws.policy import Onboarding, onboarding_of
from scans.aws.services import AccountBusyError
from scans.aws.standing import CredentialsChangedError
from scans.models import Account, AccountStatus, ScanJob, ScanKind
from scans.services import add_account, connect_account, delete_account, edit_account, request_scan

router = Router(tags=["accounts"])


class AwsUnreachableError(ApiError):
    """AWS could not be asked just now; the account is as it was."""

    status = 502


class PermissionOut(Schema):
    """Whether we may make one call."""

    action: str = Field(examples=["ec2:DescribeInstances"])
    outcome: Literal["ok", "denied", "not_enabled", "throttled", "error", "not_asked"] = Field(
        description="not_asked: it costs money or needs a thing to ask about; discovery tells."
    )
    reason: str


class PolicyOut(Schema):
    """What to set up in AWS for one account. Nothing of it is secret."""

    trust_policy: dict[str, Any]
    read_policy: dict[str, Any] = Field(description="Every call of a scan, and nothing else.")
    execution_policy: dict[str, Any] | None = Field(
        description="For a second role that may change what is tagged; with `execution` only."
    )
    cloudformation: dict[str, Any] = Field(description="A template that makes the role.")
    notes: list[str]


class AccountOut(Schema):
    """An AWS account, without its secrets."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["Production"])
    aws_account_id: str = Field(
        description="Twelve digits; empty until access is proved.", examples=[EXAMPLE_NUMBER]
    )
    auth: Literal["role", "keys", "none"] = Field(
        description="How we get in. none: only by credentials that come with a scan."
    )
    role_arn: str
    external_id: str = Field(
        description="Ours, for this account alone: put it into the role's trust policy."
    )
    regions: list[str] = Field(description="Empty: every region enabled in the account.")
    status: AccountStatus = Field(
        description="pending: access not proved; connected: proved; active: scanned; "
        "failed: AWS refuses us, `status_reason` says why."
    )
    status_reason: str
    trust_warning: str = Field(
        description="What is unsafe about the role's trust policy; empty when nothing is."
    )
    permissions: list[PermissionOut] = Field(
        description="What each permission came to when the account was last connected."
    )
    is_simulated: bool
    last_scan_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class AccountIn(Keys):
    """A new account: a role (better) or an access key, not both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Production",
                    "role_arn": f"arn:aws:iam::{EXAMPLE_NUMBER}:role/hostmaster",
                    "regions": ["eu-west-1"],
                }
            ]
        },
    )

    name: Name
    role_arn: RoleArn | None = None
    regions: Regions = []


class AccountPatch(Keys):
    """What is to change; the rest stays. A role replaces keys and keys replace a role."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 3, "name": "Production EU"}]},
    )

    version: Version
    name: Name | None = None
    role_arn: RoleArn | None = None
    regions: Regions | None = None


class AccountFilters(Schema):
    status: AccountStatus | None = None
    aws_account_id: str | None = Field(None, max_length=12)


class ConnectedOut(Schema):
    """Access is proved."""

    status: Literal["connected"]


@router.get("/accounts", response=list[AccountOut])
@paged
def list_accounts(request: TenantRequest, filters: Query[AccountFilters]) -> QuerySet[Account]:
    """Your AWS accounts by name."""
    wanted = filters.model_dump(exclude_none=True)
    return own(request, Account).filter(**wanted).order_by("name", "pk")


@router.post("/accounts", response={201: AccountOut})
def create_account(request: TenantRequest, body: AccountIn) -> Status[Account]:
    """Add an account. It is `pending` until `POST /accounts/{account_id}/connect` proves access."""
    account = add_account(
        request.tenant,
        name=body.name,
        role_arn=body.role_arn,
        regions=body.regions,
        **body.revealed(),
    )
    return Status(201, account)


@router.get("/accounts/{account_id}", response=AccountOut)
def get_account(request: TenantRequest, account_id: UUID) -> Account:
    """One account."""
    return own_or_404(request, Account, account_id)


@router.get("/accounts/{account_id}/policy", response=PolicyOut)
def get_policy(request: TenantRequest, account_id: UUID, execution: bool = False) -> Onboarding:
    """The trust policy with this account's external id, the least-privilege policy, and a
    CloudFormation template that makes the role of both."""
    account = own_or_404(request, Account, account_id)
    return onboarding_of(account, with_execution=execution)


@router.patch("/accounts/{account_id}", response={200: AccountOut, 409: ErrorOut})
def patch_account(request: TenantRequest, account_id: UUID, body: AccountPatch) -> Account:
    """Rename it, choose its regions, or replace its credentials.

    The status stays until new credentials are proved. 409 when `version` is not the present one.
    """
    account = own_or_404(request, Account, account_id)
    ensure_version(account, body.version)
    changes: dict[str, Any] = {
        "name": body.name,
        "role_arn": body.role_arn,
        "regions": body.regions,
        **body.revealed(),
    }
    if not edit_account(account, **changes):
        raise ConflictError(CHANGED_MEANWHILE)
    return account


@router.delete("/accounts/{account_id}", response={204: None, 409: ErrorOut})
def remove_account(request: TenantRequest, account_id: UUID) -> Status[None]:
    """Forget the account, its credentials and all that was found in it. Needs the role admin.

    409 while one of its scans is open.
    """
    require_role(request, Role.ADMIN)
    try:
        delete_account(own_or_404(request, Account, account_id))
    except AccountBusyError as error:
        raise ConflictError(str(error)) from error
    return Status(204, None)


@router.post(
    "/accounts/{account_id}/connect",
    response={200: ConnectedOut, 409: ErrorOut, 502: ErrorOut},
)
def connect(request: TenantRequest, account_id: UUID) -> dict[str, str]:
    """Prove our access to AWS now, and ask for a first discovery.

    `connected` says that AWS let us in; an account that was active stays active. 409 with the
    reason when AWS refuses the account's credentials, which is then `failed`; when there are none
    or they cannot be opened; and when they were replaced meanwhile: connect again. 502 when AWS
    could not be asked: nothing changes.
    """
    try:
        account = connect_account(own_or_404(request, Account, account_id))
    except (*AWS_ERRORS, SimulatorNotRunningError, OwnIdentityError) as error:
        raise AwsUnreachableError(f"AWS could not be asked: {safe_message(error)}") from error
    except (NoCredentialsHereError, SealError, CredentialsChangedError) as error:
        raise ConflictError(str(error)) from error
    if account.status == AccountStatus.FAILED:
        raise ConflictError(account.status_reason)
    return {"status": "connected"}


@router.post("/accounts/{account_id}/rediscover", response={202: ScanOut})
def rediscover(request: TenantRequest, account_id: UUID) -> Status[ScanJob]:
    """Ask for a discovery of the account's instances. The open one, if there is one."""
    account = own_or_404(request, Account, account_id)
    return Status(202, request_scan(account, kind=ScanKind.DISCOVERY, requested_by=request.actor))
