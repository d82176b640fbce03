"""What `manage.py quickstart` puts into an empty database, once."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model

from hostmaster.core.tenants.models import Role, Tenant
from hostmaster.core.tenants.services import add_member, create_tenant
from scans.aws.simulator import SIMULATED_KEYS
from scans.models import Account, ScanJob
from scans.services import add_account, connect_account, request_scan

TENANT = "Default"
ADMINISTRATOR = "admin"
SIMULATED_ACCOUNT = "Simulated account"


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
