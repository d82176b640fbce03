"""Builders of test data: valid and unique by default, any field overridden by keyword."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from alerts.models import AlertChannel, AlertRule, Incident
from hostmaster.core.tenants.models import ApiToken, Membership, Role, Tenant
from hostmaster.core.tenants.services import create_token
from monitors.models import Monitor, MonitorCheck
from scans.models import (
    Account,
    Budget,
    BudgetBreach,
    CostAnomaly,
    CostRecord,
    Instance,
    Recommendation,
    Resource,
    ScanJob,
)
from tests.kernel_app.models import Errand

_numbers = count(1)


def make_tenant(**overrides: Any) -> Tenant:
    return Tenant.objects.create(**{"name": f"Tenant {next(_numbers)}", **overrides})


def make_errand(**overrides: Any) -> Errand:
    return Errand.objects.create(
        **{"tenant": overrides.get("tenant") or make_tenant(), **overrides}
    )


def make_user(*, password: str = "right password", **overrides: Any) -> User:
    fields = {"username": f"user{next(_numbers)}", **overrides}
    return User.objects.create_user(password=password, **fields)


def make_staff(**overrides: Any) -> User:
    """An operator of the installation: every permission in the admin."""
    return make_user(**{"is_staff": True, "is_superuser": True, **overrides})


def make_membership(
    *, tenant: Tenant | None = None, user: User | None = None, role: Role = Role.OPERATOR
) -> Membership:
    return Membership.objects.create(
        tenant=tenant or make_tenant(), user=user or make_user(), role=role
    )


def make_token(
    *, tenant: Tenant | None = None, role: Role = Role.OPERATOR, **overrides: Any
) -> ApiToken:
    """A token whose `plain_text` is there."""
    name = overrides.pop("name", f"token {next(_numbers)}")
    return create_token(tenant or make_tenant(), name, role, **overrides)


def bearer(token: ApiToken) -> dict[str, str]:
    """The header for `token`: `client.get(path, headers=bearer(token))`."""
    return {"Authorization": f"Bearer {token.plain_text}"}


def make_account(**overrides: Any) -> Account:
    """Has neither role nor keys; tests that enter AWS use `add_account`."""
    fields = {"tenant": overrides.get("tenant") or make_tenant(), "name": f"aws {next(_numbers)}"}
    return Account.objects.create(**{**fields, **overrides})


def make_scan_job(**overrides: Any) -> ScanJob:
    return ScanJob.objects.create(
        **{"account": overrides.get("account") or make_account(), **overrides}
    )


def make_instance(**overrides: Any) -> Instance:
    fields = {
        "account": overrides.get("account") or make_account(),
        "region": "eu-west-1",
        "resource_id": f"i-{next(_numbers):017x}",
        "state": "running",
        "instance_type": "t3.micro",
    }
    return Instance.objects.create(**{**fields, **overrides})


def make_resource(**overrides: Any) -> Resource:
    """An unattached volume, unless told otherwise."""
    fields = {
        "account": overrides.get("account") or make_account(),
        "kind": "ebs_volume",
        "region": "eu-west-1",
        "resource_id": f"vol-{next(_numbers):017x}",
        "state": "available",
        "spec": {"volume_type": "gp2", "size_gb": 100},
    }
    return Resource.objects.create(**{**fields, **overrides})


def make_recommendation(**overrides: Any) -> Recommendation:
    fields = {
        "account": overrides.get("account") or make_account(),
        "rule": "ebs.unattached",
        "region": "eu-west-1",
        "resource_id": f"vol-{next(_numbers):017x}",
        "saving_low_usd": 5,
        "saving_high_usd": 10,
    }
    return Recommendation.objects.create(**{**fields, **overrides})


def make_cost(**overrides: Any) -> CostRecord:
    """One unblended day of one service, unless told otherwise."""
    fields = {
        "account": overrides.get("account") or make_account(),
        "date": date(2026, 11, 20),
        "metric": "unblended",
        "amount_usd": 10,
        **({} if "region" in overrides else {"service": f"Amazon Service {next(_numbers)}"}),
    }
    return CostRecord.objects.create(**{**fields, **overrides})


def make_anomaly(**overrides: Any) -> CostAnomaly:
    fields = {
        "account": overrides.get("account") or make_account(),
        "date": date(2026, 11, 20),
        "source": "ours",
        "service": "Amazon Simple Storage Service",
        "actual_usd": 200,
        "expected_usd": 100,
        "excess_usd": 100,
        "score": 13,
    }
    return CostAnomaly.objects.create(**{**fields, **overrides})


def make_budget(**overrides: Any) -> Budget:
    """100 USD a month for all accounts of a tenant, unless told otherwise."""
    fields = {
        "tenant": overrides.get("tenant") or make_tenant(),
        "name": f"budget {next(_numbers)}",
        "limit_usd": 100,
    }
    return Budget.objects.create(**{**fields, **overrides})


def make_breach(**overrides: Any) -> BudgetBreach:
    budget = overrides.get("budget") or make_budget()
    fields = {
        "tenant": budget.tenant,
        "budget": budget,
        "kind": "actual",
        "threshold": 50,
        "period": date(2026, 11, 1),
        "value_usd": 55,
        "limit_usd": budget.limit_usd,
    }
    return BudgetBreach.objects.create(**{**fields, **overrides})


def make_monitor(**overrides: Any) -> Monitor:
    fields = {
        "tenant": overrides.get("tenant") or make_tenant(),
        "name": f"monitor {next(_numbers)}",
        "url": "https://monitored.example/",
    }
    return Monitor.objects.create(**{**fields, **overrides})


def make_check(**overrides: Any) -> MonitorCheck:
    """A success, now, unless told otherwise."""
    fields = {
        "monitor": overrides.get("monitor") or make_monitor(),
        "checked_at": timezone.now(),
        "success": True,
    }
    return MonitorCheck.objects.create(**{**fields, **overrides})


def make_checks(monitor: Monitor, *outcomes: bool, **fields: Any) -> list[MonitorCheck]:
    """Checks of `monitor`, the oldest first, a second apart, the last one now."""
    now: datetime = fields.pop("until", None) or timezone.now()
    return MonitorCheck.objects.bulk_create(
        MonitorCheck(
            monitor=monitor,
            success=success,
            checked_at=now - timedelta(seconds=len(outcomes) - number),
            **fields,
        )
        for number, success in enumerate(outcomes, start=1)
    )


def make_channel(**overrides: Any) -> AlertChannel:
    """A webhook that leads nowhere, unless told otherwise."""
    config = overrides.pop("config", {"url": "https://hooks.example/nowhere"})
    fields = {
        "tenant": overrides.get("tenant") or make_tenant(),
        "name": f"channel {next(_numbers)}",
        "type": "webhook",
    }
    channel = AlertChannel(**{**fields, **overrides})
    channel.config = config
    channel.save()
    return channel


def make_rule(**overrides: Any) -> AlertRule:
    """Three failures in a row of any monitor of the tenant, unless told otherwise."""
    channels = overrides.pop("channels", ())
    monitor = overrides.get("monitor")
    tenant = overrides.get("tenant") or (monitor.tenant if monitor else make_tenant())
    fields = {"tenant": tenant, "name": f"rule {next(_numbers)}", "kind": "down"}
    rule = AlertRule.objects.create(**{**fields, **overrides})
    rule.channels.set(channels)
    return rule


def make_incident(**overrides: Any) -> Incident:
    """An open incident that was told, unless told otherwise."""
    rule = overrides.get("alert_rule") or make_rule()
    fields = {
        "alert_rule": rule,
        "tenant": rule.tenant,
        "severity": rule.severity,
        "title": f"incident {next(_numbers)}",
        "announced_at": timezone.now(),
    }
    return Incident.objects.create(**{**fields, **overrides})
