"""Pages that show several apps at once, for operators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from hostmaster.core.web.cells import NOTHING, span
from hostmaster.site.queue import LaneStats, queue_stats


def queue_page(request: HttpRequest) -> HttpResponse:
    """`/admin/queue/`: each lane's queue, with the way to the jobs behind each figure."""
    context = {
        **admin.site.each_context(request),
        "title": "Queue",
        "lanes": [lane_row(stats) for stats in queue_stats()],
        "as_of": timezone.now(),
    }
    return TemplateResponse(request, "admin/queue.html", context)


def lane_row(stats: LaneStats) -> dict[str, Any]:
    """A lane's figures as the page and the admin's index show them."""
    wait = stats.oldest_wait_seconds
    return {
        "stats": stats,
        "oldest_wait": NOTHING if wait is None else span(timedelta(seconds=wait)),
        "jobs_url": _jobs_url(stats),
    }


def _jobs_url(stats: LaneStats) -> str:
    """The list of the lane's jobs, when they are all of one model that has a list."""
    if len(stats.models) != 1:
        return ""
    options = apps.get_model(stats.models[0])._meta
    try:
        return reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    except NoReverseMatch:
        return ""
