"""The job that does nothing."""

from __future__ import annotations

from django.db import models

from hostmaster.core.jobs.plain import PlainJob


class Noop(PlainJob):
    """What the peers run as a function without a body."""

    number = models.IntegerField()

    class Meta:
        constraints = [PlainJob.dedupe_constraint("noop_open_dedupe_key", ["waiting", "running"])]
        indexes = [  # as on scan_jobs: the sweep asks for both each second
            models.Index(fields=["state", "run_at"], name="noop_due"),
            models.Index(
                fields=["lease_until"], condition=models.Q(state="running"), name="noop_leases"
            ),
        ]
