"""The admin's name, and the way on from it."""

from __future__ import annotations

from django.contrib import admin

admin.site.site_header = "hostmaster"
admin.site.site_title = "hostmaster"
admin.site.index_title = "Operations"
admin.site.site_url = None  # no page outside the admin yet
