from __future__ import annotations

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    """The processes that work: has no rows, gives `manage.py qcluster`."""

    name = "hostmaster.core.cluster"
    label = "cluster"
    verbose_name = "Cluster"
