"""The panel on top of the admin's index: the queue by lane, the components' health."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.defaultfilters import capfirst

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


@register.inclusion_tag("admin/overview.html")
def operations_overview() -> dict[str, Any]:
    return {
        "lanes": [lane_row(stats) for stats in queue_stats()],
        "components": [_component(state) for state in ComponentState.objects.all()],
    }


def _component(state: ComponentState) -> dict[str, Any]:
    mark, tone = _STATUS[Status(state.status)]
    word = str(capfirst(Status(state.status).label))
    return {
        "name": state.component,
        "badge": badge(mark, word, tone),
        "message": state.message,
        "checked": instant(state.checked_at),
    }
