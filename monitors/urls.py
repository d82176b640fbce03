from __future__ import annotations

from django.urls import path

from monitors.heartbeat import heartbeat

urlpatterns = [path("api/v1/heartbeats/<str:token>", heartbeat, name="heartbeat")]
