"""Proving access to an account: who we are there, whom its role lets in, what we may."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial

from scans.aws.accounts import endpoint_of, source_of
from scans.aws.clients import (
    POOL_SIZE,
    AwsSession,
    CallerIdentity,
    demands_external_id,
    open_session,
)
from scans.aws.collectors.all import COLLECTORS
from scans.aws.collectors.rows import Collector
from scans.aws.credentials import RoleToAssume
from scans.aws.errors import AWS_ERRORS, CredentialsRefusedError, Outcome, UnitOutcome, classify
from scans.aws.policy import required_actions
from scans.aws.regions import DESCRIBE_REGIONS
from scans.aws.standing import check_identity
from scans.aws.usage import IAM_ACTIONS as METRICS_ACTIONS
from scans.models import Account

NOT_ASKED = "not_asked"
UNSAFE_TRUST = (
    "The role lets us in without the external ID: whoever else uses this hostmaster could have "
    "it read this account. Add the condition StringEquals sts:ExternalId to its trust policy, "
    "then connect again."
)


@dataclass(frozen=True)
class Permission:
    """What one IAM action came to: an `Outcome`, or `not_asked`."""

    action: str
    outcome: str
    reason: str = ""  # in AWS's words, where it is not allowed


@dataclass(frozen=True)
class Proof:
    """That AWS lets us in, and what is to be mended all the same."""

    identity: CallerIdentity
    trust_warning: str
    permissions: tuple[Permission, ...]

    def as_rows(self) -> list[dict[str, str]]:
        """The permissions as the account keeps them."""
        return [asdict(permission) for permission in self.permissions]


def prove_access(account: Account) -> Proof:
    """Ask AWS who we are in the account, whether its role turns strangers away, and each service
    whether we may look.

    Raises `CredentialsRefusedError`, `NoCredentialsHereError`, `SimulatorNotRunningError`, or the
    AWS error of a call that proves nothing.
    """
    endpoint_url, source = endpoint_of(account), source_of(account)
    with open_session(
        source,
        name="connect",
        account_id=account.aws_account_id,
        endpoint_url=endpoint_url,
        is_awaited=True,
    ) as session:
        identity = session.caller_identity()
        check_identity(account, identity)
        warning = ""
        if isinstance(source, RoleToAssume):
            warning = trust_warning(account, source, endpoint_url)
        permissions = tuple(probe(session, account.regions[0] if account.regions else ""))
    return Proof(identity, warning, permissions)


def trust_warning(account: Account, role: RoleToAssume, endpoint_url: str) -> str:
    """What is unsafe about the role's trust policy, or an empty text.

    A role that lets in whoever we ask for works, and its owner is told; refusing it would keep
    owners from what is theirs. Where another tenant has the same AWS account, nobody can tell
    whose the role is, and it is refused: that is the confused deputy. Raises
    `CredentialsRefusedError`.
    """
    if demands_external_id(role, endpoint_url=endpoint_url):
        return ""
    if is_of_another_tenant(account, role):
        raise CredentialsRefusedError(UNSAFE_TRUST)
    return UNSAFE_TRUST


def ensure_nobody_elses(account: Account) -> None:
    """Raises `CredentialsRefusedError` for a role that another tenant may have made and that does
    not tell us apart: a scan asks again, since roles and accounts change after connecting."""
    source = source_of(account)
    if isinstance(source, RoleToAssume) and is_of_another_tenant(account, source):
        trust_warning(account, source, endpoint_of(account))


def is_of_another_tenant(account: Account, role: RoleToAssume) -> bool:
    """Another tenant has an account of the same AWS account number."""
    others = Account.objects.exclude(tenant=account.tenant_id)
    return (
        others.filter(aws_account_id=role.account_id).exists()
        or others.filter(role_arn=role.role_arn).exists()
    )


def probe(session: AwsSession, region: str = "") -> Iterator[Permission]:
    """Each permission a scan needs, by a cheap call: the first page of a list.

    Cost Explorer takes money for a request, and details need a thing to ask about: those are
    `not_asked`, and the discovery that follows tells.
    """
    region = region or session.region
    questions = {
        DESCRIBE_REGIONS: partial(_ask_regions, session),
        METRICS_ACTIONS[1]: partial(_ask_metrics, session, region),
        **{c.iam_action: partial(_ask_first_page, session, c, region) for c in COLLECTORS},
    }
    with ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="probe") as pool:
        asked = {
            action: pool.submit(_outcome, action, ask, region) for action, ask in questions.items()
        }
    for action in required_actions():
        if action not in asked:
            yield Permission(action, NOT_ASKED)
            continue
        told = asked[action].result()
        yield Permission(action, told.outcome.value, told.message)


def _outcome(action: str, ask: partial[None], region: str) -> UnitOutcome:
    try:
        ask()
    except AWS_ERRORS as error:
        return classify(error, region=region, iam_action=action)
    return UnitOutcome(Outcome.OK)


def _ask_regions(session: AwsSession) -> None:
    session.client("ec2", session.region).describe_regions(AllRegions=False)


def _ask_metrics(session: AwsSession, region: str) -> None:
    session.client("cloudwatch", region).list_metrics(Namespace="AWS/EC2", RecentlyActive="PT3H")


def _ask_first_page(session: AwsSession, collector: Collector, region: str) -> None:
    next(iter(collector.collect(session.client(collector.service, region), region)), None)
