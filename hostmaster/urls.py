"""Where each page lives."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from hostmaster.api import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("hostmaster.core.health.urls")),
    path("", include("hostmaster.core.metrics.urls")),
]

handler404 = "hostmaster.core.web.error_answers.page_not_found"
handler500 = "hostmaster.core.web.error_answers.server_error"
