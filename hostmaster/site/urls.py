"""Addresses of the pages that show several apps at once."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from hostmaster.site import views

urlpatterns = [
    # Until there is a dashboard: who opens the bare address is to land somewhere.
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/queue/", admin.site.admin_view(views.queue_page), name="queue"),
]
