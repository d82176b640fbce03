"""Where each page lives."""

from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from hostmaster.api import api

admin.autodiscover()  # a worker's settings leave it to whoever needs the pages' addresses

urlpatterns = [
    path("", include("hostmaster.site.urls")),  # before the admin, which answers all of /admin/
    path("admin/", admin.site.urls),
    # Before the API, which answers all of /api/v1/.
    path("", include("hostmaster.core.live.urls")),
    path("", include("monitors.urls")),
    path("api/v1/", api.urls),
    # Browsers ask for it whatever a page says; without an answer each visit logs a 404.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("favicon.svg"))),
    path("", include("hostmaster.core.health.urls")),
    path("", include("hostmaster.core.metrics.urls")),
]

handler404 = "hostmaster.core.web.error_answers.page_not_found"
handler500 = "hostmaster.core.web.error_answers.server_error"
