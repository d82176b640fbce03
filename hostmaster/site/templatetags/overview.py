"""The panel on top of the admin's index: the queue by lane, the components' health, and whom
nobody would tell."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Count
from django.template import Context
from django.template.defaultfilters import capfirst

from alerts.models import AlertRule
from hostmaster.core.health.models import ComponentState, Status
from hostmaster.core.web.cells import Tone, badge, instant
from hostmaster.site.queue import queue_stats
from hostmaster.site.views import lane_row

register = template.Library()

_STATUS = {
    Status.HEALTHY: ("✓", Tone.GOOD),
    Status.DEGRADED: ("!", Tone.WARN),
    Status.CRITICAL: ("✗", Tone.BAD),
    Status.UNKNOWN: ("?", Tone.WARN),
    Status.NOT_CONFIGURED: ("–", Tone.CALM),
}


@register.inclusion_tag("admin/overview.html", takes_context=True)
def operations_overview(context: Context) -> dict[str, Any]:
    user = context["request"].user
    return {
        "untold": untold_tenants() if user.has_perm("alerts.view_alertrule") else [],
        "lanes": [lane_row(stats) for stats in queue_stats()],
        "components": [_component(state) for state in ComponentState.objects.all()],
    }


def untold_tenants(shown: int = 3) -> list[dict[str, Any]]:
    """Tenants with rules whose incidents nobody is told of. One query."""
    rules = AlertRule.objects.enabled().without_channels().order_by()
    by_tenant = rules.values("tenant_id", "tenant__name").annotate(rules=Count("pk"))
    return [
        {"id": row["tenant_id"], "name": row["tenant__name"], "rules": row["rules"]}
        for row in by_tenant.order_by("tenant__name")[:shown]
    ]


def _component(state: ComponentState) -> dict[str, Any]:
    mark, tone = _STATUS[Status(state.status)]
    word = str(capfirst(Status(state.status).label))
    return {
        "name": state.component,
        "badge": badge(mark, word, tone),
        "message": state.message,
        "checked": instant(state.checked_at),
    }
