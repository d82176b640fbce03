"""A scan, as one durable job, and what each of its calls came to."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from hostmaster.core.fields import SealedTextField
from hostmaster.core.jobs.models import DurableJob, DurableJobQuerySet
from scans.models.owned import fill_tenant, filled


class ScanKind(models.TextChoices):
    DISCOVERY = "discovery", "Discovery"  # an account's EC2 instances, soon after it is connected
    AWS = "aws", "AWS scan"  # everything we collect, then the rules
    COST = "cost", "Cost refresh"  # Cost Explorer alone, which asks money for each request
    URL = "url", "URL scan"  # one page, fetched in a container


class ScanState(models.TextChoices):
    QUEUED = "QUEUED", "Queued"  # waits for its turn or for its next attempt
    FETCHING = "FETCHING", "Fetching"  # talks to AWS or to the page
    ANALYZING = "ANALYZING", "Analyzing"  # rules, totals, storing
    COMPLETED = "COMPLETED", "Completed"  # done; single refused calls are in its coverage
    FAILED = "FAILED", "Failed"  # dead letter: `errors` says why
    TIMED_OUT = "TIMED_OUT", "Timed out"  # dead letter: its last attempt passed its deadline
    CANCELLED = "CANCELLED", "Cancelled"  # by a person


OPEN_STATES = [ScanState.QUEUED, ScanState.FETCHING, ScanState.ANALYZING]
AWS_KINDS = [ScanKind.AWS, ScanKind.DISCOVERY, ScanKind.COST]

_QUEUED, _FETCHING, _ANALYZING = OPEN_STATES
_LOST = {ScanState.FAILED, ScanState.TIMED_OUT, ScanState.CANCELLED}


class ScanJobQuerySet(DurableJobQuerySet):
    """Scans, in the words of durable jobs."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        return super().bulk_create(filled(objs), *args, **kwargs)


class ScanJob(DurableJob):
    """QUEUED → FETCHING → ANALYZING → COMPLETED; not final → FAILED or CANCELLED; running →
    TIMED_OUT, or QUEUED for another attempt; FAILED, TIMED_OUT → QUEUED when a person retries."""

    Kind = ScanKind
    State = ScanState
    TRANSITIONS = {
        _QUEUED: frozenset({_FETCHING, ScanState.FAILED, ScanState.CANCELLED}),
        _FETCHING: frozenset({_ANALYZING, _QUEUED} | _LOST),
        _ANALYZING: frozenset({ScanState.COMPLETED, _QUEUED} | _LOST),
        ScanState.FAILED: frozenset({_QUEUED}),
        ScanState.TIMED_OUT: frozenset({_QUEUED}),
    }
    WAITING_STATE = ScanState.QUEUED
    CLAIMED_STATE = ScanState.FETCHING
    RUNNING_STATES = frozenset({_FETCHING.value, _ANALYZING.value})
    DONE_STATE = ScanState.COMPLETED
    FAILED_STATE = ScanState.FAILED
    TIMED_OUT_STATE = ScanState.TIMED_OUT
    CANCELLED_STATE = ScanState.CANCELLED
    DEAD_STATES = frozenset({ScanState.FAILED.value, ScanState.TIMED_OUT.value})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=ScanKind.choices, default=ScanKind.AWS)
    account = models.ForeignKey(
        "scans.Account", models.CASCADE, null=True, blank=True, related_name="scan_jobs"
    )
    url = models.TextField("URL", null=True, blank=True)
    state = models.CharField(
        max_length=20, choices=ScanState.choices, default=ScanState.QUEUED, editable=False
    )
    regions = models.JSONField(default=list, blank=True, help_text="Empty: the account's regions.")
    credentials_sealed = SealedTextField()
    credentials_expire_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The scan came with credentials of its own, gone when it ends or at this time.",
    )
    uses_shell_login = models.BooleanField(
        "by the login of a shell",
        default=False,
        editable=False,
        help_text="Runs only in the shell that asked for it, with its AWS login, kept nowhere.",
    )
    summary = models.JSONField(default=dict, blank=True, editable=False)
    progress_done = models.PositiveIntegerField(default=0, editable=False)
    progress_total = models.PositiveIntegerField(default=0, editable=False)
    requested_by = models.CharField(max_length=200, blank=True, default="")

    objects = ScanJobQuerySet.as_manager()

    class Meta:
        db_table = "scan_jobs"
        ordering = ["-created_at", "pk"]
        verbose_name = "scan"
        indexes = [
            models.Index(fields=["state", "run_at"], name="scan_jobs_due"),
            models.Index(
                fields=["lease_until"],
                condition=Q(state__in=[_FETCHING, _ANALYZING]),
                name="scan_jobs_leases",
            ),
            models.Index(fields=["state", "finished_at"], name="scan_jobs_finished"),
            models.Index(fields=["tenant", "-created_at"], name="scan_jobs_tenant"),
            models.Index(fields=["account", "-created_at"], name="scan_jobs_account"),
            models.Index(fields=["kind", "-created_at"], name="scan_jobs_kind"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=Q(state__in=OPEN_STATES),
                name="scan_jobs_dedupe_open",
            ),
            models.UniqueConstraint(
                fields=["account", "kind"],
                condition=Q(state__in=OPEN_STATES),
                name="scan_jobs_one_open",
            ),
            models.CheckConstraint(
                condition=Q(state__in=ScanState.values), name="scan_jobs_state_known"
            ),
            models.CheckConstraint(
                condition=(
                    Q(kind=ScanKind.URL, url__isnull=False, account__isnull=True)
                    | Q(kind__in=AWS_KINDS, url__isnull=True, account__isnull=False)
                    # The expiry stays when the credentials are forgotten: where they came from.
                    | Q(kind__in=AWS_KINDS, url__isnull=True, credentials_expire_at__isnull=False)
                ),
                name="scan_jobs_has_subject",
            ),
            models.CheckConstraint(
                condition=Q(credentials_sealed__isnull=True)
                | Q(credentials_expire_at__isnull=False),
                name="scan_jobs_credentials_expire",
            ),
            models.CheckConstraint(
                condition=Q(credentials_sealed__isnull=True) | Q(state__in=OPEN_STATES),
                name="scan_jobs_forgets_credentials",
            ),
            models.CheckConstraint(
                condition=Q(uses_shell_login=False)
                | Q(
                    kind__in=AWS_KINDS,
                    account__isnull=False,
                    credentials_sealed__isnull=True,
                    credentials_expire_at__isnull=True,
                ),
                name="scan_jobs_shell_login_alone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    def __repr__(self) -> str:
        return f"<ScanJob {self.pk} {self.kind} {self.state}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        fill_tenant(self)
        super().save(*args, **kwargs)

    def final_fields(self) -> Mapping[str, object]:
        return {"credentials_sealed": None}

    def has_own_credentials(self) -> bool:
        """It was requested with credentials of its own, still there or not."""
        return self.credentials_expire_at is not None

    def credentials_are_over(self, now: datetime) -> bool:
        """Its own credentials were forgotten or have expired: only a new request can bring some."""
        if self.credentials_expire_at is None:
            return False
        return self.credentials_sealed is None or self.credentials_expire_at <= now


class UnitOutcome(models.TextChoices):
    OK = "ok", "Scanned"
    DENIED = "denied", "Access denied"  # `missing_action` is the IAM action to allow
    NOT_ENABLED = "not_enabled", "Not enabled"  # the account has not opted in to the region
    THROTTLED = "throttled", "Throttled"  # AWS slowed us down until we gave up
    ERROR = "error", "Error"


class ScanUnit(models.Model):
    """What one call in one region came to. All units of a job are its coverage map: nothing of a
    unit that did not succeed is known, so nothing of it is marked gone."""

    Outcome = UnitOutcome

    job = models.ForeignKey(ScanJob, models.CASCADE, related_name="units")
    service = models.CharField(max_length=40)
    region = models.CharField(max_length=40)
    call = models.CharField(max_length=80)
    outcome = models.CharField(max_length=20, choices=UnitOutcome.choices)
    error_code = models.CharField(max_length=100, blank=True, default="")
    message = models.TextField(blank=True, default="")
    missing_action = models.CharField(max_length=100, blank=True, default="")
    rows = models.PositiveIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0, help_text="Requests, repeated ones included.")
    throttled = models.PositiveIntegerField(
        default=0, help_text="Requests that AWS answered with: slower."
    )
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "scan_units"
        ordering = ["service", "call", "region"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "service", "region", "call"], name="scan_units_unique"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=UnitOutcome.values), name="scan_units_outcome_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.call} in {self.region}: {self.outcome}"
