"""The page of a monitor with what alerts know of it; the monitors app knows nothing of alerts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from alerts.admin.incidents import incident_row
from alerts.models import Incident
from monitors.admin.monitors import MonitorAdmin
from monitors.models import Monitor

INCIDENTS_SHOWN = 10


class WatchedMonitorAdmin(MonitorAdmin):
    change_form_template = "admin/alerts/monitor.html"

    def page_context(self, request: HttpRequest, row: Monitor) -> dict[str, Any]:
        incidents = Incident.objects.filter(monitor=row).select_related("alert_rule", "monitor")
        query = urlencode({"monitor__id__exact": str(row.pk)})
        start = urlencode({"tenant": str(row.tenant_id), "monitor": str(row.pk)})
        return {
            **super().page_context(request, row),
            "incidents": [incident_row(incident) for incident in incidents[:INCIDENTS_SHOWN]],
            "incidents_url": f"{reverse('admin:alerts_incident_changelist')}?{query}",
            "silence_url": f"{reverse('admin:alerts_silence_add')}?{start}",
        }


admin.site.unregister(Monitor)
admin.site.register(Monitor, WatchedMonitorAdmin)
