"""Addresses of the pages that show several apps at once."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from hostmaster.site import views

urlpatterns = [path("admin/queue/", admin.site.admin_view(views.queue_page), name="queue")]
