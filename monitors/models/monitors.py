"""What is watched: a monitor as a person configured it, and how it is."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.db import connections, models
from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils import timezone

from hostmaster.core.fields import SealedTextField
from hostmaster.core.state import VersionedModel

_EMPTY_LIST = Value([], output_field=models.JSONField())


class MonitorKind(models.TextChoices):
    HTTP = "http", "HTTP"  # also https; by the URL
    TCP = "tcp", "TCP"  # tcp://host:port accepts a connection
    PUSH = "push", "Push"  # the watched thing calls us; silence is the failure


class MonitorStatus(models.TextChoices):
    UNKNOWN = "unknown", "Unknown"  # not judged yet, or we could not look
    UP = "up", "Up"  # confirmed by `successes_before_up` checks
    DOWN = "down", "Down"  # confirmed by `retries` fast re-checks
    PAUSED = "paused", "Paused"  # not `enabled`


# The run of these does not follow `enabled` yet.
UNSCHEDULED = ~Q(is_scheduled=F("enabled")) | (Q(enabled=False) & ~Q(status=MonitorStatus.PAUSED))


def meets_certificate(kind: str, url: str) -> bool:
    """A check of such a monitor sees the certificate of who answers."""
    return kind == MonitorKind.HTTP and url[:8].lower() == "https://"


class MonitorQuerySet(models.QuerySet["Monitor"]):
    """Questions about many monitors."""

    def unscheduled(self) -> Self:
        """Their run does not follow `enabled` yet: new rows, whoever wrote them, and switched ones.

        The partial index `monitors_unscheduled` holds exactly these, so asking is free.
        """
        return self.filter(UNSCHEDULED)

    def down(self) -> Self:
        return self.filter(status=MonitorStatus.DOWN)

    def matching(self, text: str) -> Self:
        """With `text` in their name or URL."""
        return self.filter(Q(name__icontains=text) | Q(url__icontains=text))

    def tagged(self, tag: str) -> Self:
        if connections[self.db].vendor == "postgresql":
            return self.filter(tags__contains=[tag])
        # SQLite's JSON knows no `contains`.
        bears_it = "EXISTS (SELECT 1 FROM json_each(monitors.tags) WHERE value = %s)"
        return self.filter(RawSQL(bears_it, [tag], models.BooleanField()))  # noqa: S611 bound


class Monitor(VersionedModel):
    """Configuration, written by people, programs and plain SQL; `status` is written by the sweep.

    `version` counts edits of the configuration only: a result probed under an older one changes no
    state. Every column but tenant and name has a default in the database.
    """

    Kind = MonitorKind
    Status = MonitorStatus

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="monitors")
    name = models.CharField(max_length=200)
    kind = models.CharField(
        max_length=10,
        choices=MonitorKind.choices,
        default=MonitorKind.HTTP,
        db_default=MonitorKind.HTTP.value,
    )
    url = models.CharField(
        "URL",
        max_length=2048,
        blank=True,
        default="",
        db_default="",
        help_text="https://… or tcp://host:port; empty for a push monitor.",
    )
    enabled = models.BooleanField(default=True, db_default=True)
    interval_seconds = models.PositiveIntegerField(default=30, db_default=30)
    timeout_seconds = models.FloatField(default=10, db_default=10.0)
    method = models.CharField(max_length=10, default="GET", db_default="GET")
    headers_sealed = SealedTextField()
    body = models.TextField(blank=True, default="", db_default="")
    expected_status = models.CharField(
        max_length=100,
        default="200-399",
        db_default="200-399",
        help_text="Codes and ranges, such as “200-299,304”.",
    )
    keyword = models.CharField(max_length=500, blank=True, default="", db_default="")
    keyword_absent = models.BooleanField(
        default=False, db_default=False, help_text="The keyword must not be there."
    )
    assertions = models.JSONField(default=list, blank=True, db_default=_EMPTY_LIST)
    follow_redirects = models.BooleanField(default=True, db_default=True)
    max_redirects = models.PositiveSmallIntegerField(default=5, db_default=5)
    verify_tls = models.BooleanField("verify TLS", default=True, db_default=True)
    check_certificate = models.BooleanField(default=True, db_default=True)
    min_tls_version = models.CharField(
        "oldest TLS version", max_length=3, default="1.2", db_default="1.2"
    )
    retries = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        help_text="Fast re-checks that must fail too before the monitor is down.",
    )
    retry_interval_seconds = models.PositiveIntegerField(default=10, db_default=10)
    successes_before_up = models.PositiveSmallIntegerField(default=1, db_default=1)
    tags = models.JSONField(default=list, blank=True, db_default=_EMPTY_LIST)
    depends_on = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="dependants",
        help_text="While one of these is down, this one's incidents are suppressed.",
    )
    push_grace_seconds = models.PositiveIntegerField(default=30, db_default=30)
    push_token_hash = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False
    )
    external_id = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Its name in configuration as code.",
    )
    status = models.CharField(
        max_length=10,
        choices=MonitorStatus.choices,
        default=MonitorStatus.UNKNOWN,
        db_default=MonitorStatus.UNKNOWN.value,
        editable=False,
    )
    status_since = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    status_reason = models.TextField(blank=True, default="", db_default="", editable=False)
    is_scheduled = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Its run follows `enabled`."
    )
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    # Of VersionedModel, here with defaults in the database.
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)

    objects = MonitorQuerySet.as_manager()

    class Meta:
        db_table = "monitors"
        ordering = ["name", "pk"]
        indexes = [
            models.Index(fields=["tenant", "status"], name="monitors_tenant_status"),
            models.Index(fields=["tenant", "name", "id"], name="monitors_tenant_name"),
            models.Index(fields=["id"], condition=UNSCHEDULED, name="monitors_unscheduled"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "external_id"],
                condition=~Q(external_id=""),
                name="monitors_external_id_unique",
            ),
            models.UniqueConstraint(
                fields=["push_token_hash"],
                condition=~Q(push_token_hash=""),
                name="monitors_push_token_unique",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=MonitorKind.values), name="monitors_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=MonitorStatus.values), name="monitors_status_known"
            ),
            models.CheckConstraint(
                condition=Q(kind=MonitorKind.PUSH) | ~Q(url=""), name="monitors_url_there"
            ),
            models.CheckConstraint(
                condition=Q(interval_seconds__gte=1, interval_seconds__lte=86_400),
                name="monitors_interval",
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__gt=0, timeout_seconds__lte=300),
                name="monitors_timeout",
            ),
            models.CheckConstraint(
                condition=Q(
                    retries__lte=20, successes_before_up__gte=1, successes_before_up__lte=20
                ),
                name="monitors_confirmation",
            ),
            models.CheckConstraint(
                condition=Q(retry_interval_seconds__gte=1, retry_interval_seconds__lte=3600),
                name="monitors_retry_interval",
            ),
            models.CheckConstraint(
                condition=Q(min_tls_version__in=["1.0", "1.1", "1.2", "1.3"]),
                name="monitors_tls_version",
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.push_token = ""  # filled once, when it is made; never stored

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Monitor {self.pk} {self.name!r} {self.status}>"

    def __getstate__(self) -> dict[str, Any]:
        # What is pickled (a cache, a queue) must not carry the token.
        return {**super().__getstate__(), "push_token": ""}

    @property
    def has_certificate(self) -> bool:
        """Its checks meet a certificate that is looked at."""
        return self.check_certificate and meets_certificate(self.kind, self.url)
