"""What `manage.py quickstart` puts into an empty database, once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model

from alerts.models import AlertChannel, AlertRule, RuleKind
from alerts.services import add_rule
from hostmaster.core.tenants.models import Role, Tenant
from hostmaster.core.tenants.services import add_member, create_tenant
from monitors.models import Monitor
from monitors.services import add_monitor, edit_monitor
from scans.aws.simulator import SIMULATED_KEYS
from scans.models import Account, ScanJob
from scans.services import add_account, connect_account, request_scan

TENANT = "Default"
ADMINISTRATOR = "admin"
SIMULATED_ACCOUNT = "Simulated account"
OWN_HEALTH, NOBODY_LISTENS = "quickstart-health", "quickstart-nobody-listens"
CLOSED_PORT = "tcp://127.0.0.1:9"  # discard: nobody has listened there for decades


def first_tenant() -> Tenant:
    """The oldest tenant, made when there is none."""
    return Tenant.objects.order_by("created_at").first() or create_tenant(TENANT)


def first_administrator(tenant: Tenant) -> str | None:
    """Makes the administrator when there is none, and answers the password: the only time."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    user = users.create_superuser(username=ADMINISTRATOR, password=password)
    add_member(tenant, user, Role.ADMIN)
    return password


def simulated_account(tenant: Tenant) -> Account:
    """The account of the simulator, connected. Its keys are sealed as a real one's would be."""
    account = Account.objects.filter(tenant=tenant, is_simulated=True).first()
    if account is None:
        account = add_account(
            tenant,
            name=SIMULATED_ACCOUNT,
            access_key_id=SIMULATED_KEYS.access_key_id,
            secret_access_key=SIMULATED_KEYS.secret_access_key,
            is_simulated=True,
        )
    return account if account.is_usable else connect_account(account)


def first_scan(account: Account) -> ScanJob:
    """The account's last completed scan, else one that is open, else a new one."""
    scans = ScanJob.objects.filter(account=account, kind=ScanJob.Kind.AWS)
    completed = scans.filter(state=ScanJob.State.COMPLETED).first()
    return completed or request_scan(account, requested_by="quickstart")


@dataclass(frozen=True)
class Watch:
    """What is watched, and whether anybody is told."""

    monitors: list[Monitor]
    has_channel: bool


def first_watch(tenant: Tenant, address: str) -> Watch:
    """A monitor of our own `/health` and one that is down, with a rule for both.

    Only into a tenant without monitors; later runs lead the first one to where we listen then.
    """
    health = f"{address}/health"
    if not Monitor.objects.filter(tenant=tenant).exists():
        _add_first_monitors(tenant, health)
    ours = Monitor.objects.filter(tenant=tenant, external_id__in=[OWN_HEALTH, NOBODY_LISTENS])
    monitors = list(ours.order_by("external_id"))
    for monitor in monitors:
        if monitor.external_id == OWN_HEALTH and monitor.url != health:
            edit_monitor(monitor, url=health)
    return Watch(monitors, AlertChannel.objects.filter(tenant=tenant).exists())


def _add_first_monitors(tenant: Tenant, health: str) -> None:
    add_monitor(tenant, name="hostmaster itself", url=health, external_id=OWN_HEALTH)
    add_monitor(
        tenant,
        name="A port where nobody listens",
        kind=Monitor.Kind.TCP,
        url=CLOSED_PORT,
        interval_seconds=10,  # down for certain within half a minute
        external_id=NOBODY_LISTENS,
    )
    if not AlertRule.objects.filter(tenant=tenant, kind=RuleKind.DOWN).exists():
        add_rule(tenant, name="A monitor is down", kind=RuleKind.DOWN)
