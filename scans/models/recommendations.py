"""What could be saved, why we think so, and what a person decided about it."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import F, Max, Q, Sum, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone

from hostmaster.core.state import StateMachine
from scans.models.owned import AccountOwned, OwnedQuerySet


class RecommendationStatus(models.TextChoices):
    OPEN = "open", "Open"
    DISMISSED = "dismissed", "Dismissed"  # by a person; no scan opens it again
    SNOOZED = "snoozed", "Snoozed"  # by a person, until `snoozed_until`
    RESOLVED = "resolved", "Resolved"  # a scan that could see it no longer found it


class Confidence(models.TextChoices):
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class Effort(models.TextChoices):
    """Work for the customer's people until the saving is there."""

    LOW = "low", "Low"  # one call or click
    MEDIUM = "medium", "Medium"  # to be planned: a restart, a look at who uses it
    HIGH = "high", "High"  # engineering: another processor, another architecture


_OPEN, _DISMISSED, _SNOOZED, _RESOLVED = RecommendationStatus


class RecommendationQuerySet(OwnedQuerySet):
    """Questions about many recommendations."""

    def open(self) -> RecommendationQuerySet:
        return self.filter(status=RecommendationStatus.OPEN)

    def monthly_saving(self) -> tuple[Decimal, Decimal]:
        """(low, high) in USD a month. Of an exclusive group only the largest counts."""
        group = Coalesce(NullIf("exclusive_group", Value("")), "fingerprint")
        groups = (
            self.order_by()
            .values("account", "region", group=group)
            .annotate(low=Max("saving_low_usd"), high=Max("saving_high_usd"))
        )
        total = groups.aggregate(Sum("low"), Sum("high"))
        return _cents(total["low__sum"]), _cents(total["high__sum"])


def _cents(amount: Decimal | None) -> Decimal:
    return (amount or Decimal(0)).quantize(Decimal("0.01"))


class Recommendation(AccountOwned, StateMachine):
    """open → dismissed, snoozed, resolved; snoozed → open, dismissed, resolved; dismissed → open (a
    person changed his mind); resolved → open (it is back)."""

    Status = RecommendationStatus
    STATE_FIELD = "status"
    TRANSITIONS = {
        _OPEN: frozenset({_DISMISSED, _SNOOZED, _RESOLVED}),
        _SNOOZED: frozenset({_OPEN, _DISMISSED, _RESOLVED}),
        _DISMISSED: frozenset({_OPEN}),
        _RESOLVED: frozenset({_OPEN}),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.CharField(max_length=60)
    region = models.CharField(max_length=40, blank=True, default="")
    resource_id = models.CharField(max_length=255)
    resource_name = models.CharField(max_length=255, blank=True, default="")
    fingerprint = models.CharField(
        max_length=420, editable=False, help_text="account|region|rule|resource"
    )
    status = models.CharField(
        max_length=20, choices=RecommendationStatus.choices, default=RecommendationStatus.OPEN
    )
    title = models.CharField(max_length=255, blank=True, default="")
    saving_low_usd = models.DecimalField(
        "saving from, USD a month", max_digits=14, decimal_places=4, default=0
    )
    saving_high_usd = models.DecimalField(
        "saving up to, USD a month", max_digits=14, decimal_places=4, default=0
    )
    confidence = models.CharField(
        max_length=20, choices=Confidence.choices, default=Confidence.MEDIUM
    )
    effort = models.CharField(max_length=20, choices=Effort.choices, default=Effort.LOW)
    action = models.TextField("what to do", blank=True, default="")
    risk = models.TextField("what may go wrong", blank=True, default="")
    is_upper_bound = models.BooleanField(
        '"up to"',
        default=False,
        help_text="The true saving lies between nothing and the upper figure; AWS tells no more.",
    )
    evidence = models.JSONField(default=dict, blank=True)
    exclusive_group = models.CharField(
        max_length=255,
        blank=True,
        default="",
        help_text="Of one group only the largest saving counts: the resource can go only once.",
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismissed_by = models.CharField(max_length=200, blank=True, default="")
    dismissed_reason = models.TextField(blank=True, default="")
    snoozed_until = models.DateTimeField(null=True, blank=True)
    last_job = models.ForeignKey(
        "scans.ScanJob", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = RecommendationQuerySet.as_manager()

    class Meta:
        db_table = "recommendations"
        ordering = ["-saving_high_usd", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "fingerprint"], name="recommendations_unique"
            ),
            models.CheckConstraint(
                condition=Q(status__in=RecommendationStatus.values),
                name="recommendations_status_known",
            ),
            models.CheckConstraint(
                condition=Q(saving_low_usd__lte=F("saving_high_usd")),
                name="recommendations_saving_range",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "status", "-saving_high_usd"], name="recommendations_list"
            ),
            models.Index(fields=["account", "rule", "region"], name="recommendations_rule"),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.rule} {self.resource_id}"

    @staticmethod
    def fingerprint_of(account_id: object, region: str, rule: str, resource_id: str) -> str:
        """The same finding has the same fingerprint in every scan."""
        return f"{account_id}|{region}|{rule}|{resource_id}"

    def save(self, *args: object, **kwargs: object) -> None:
        if not self.fingerprint:
            self.fingerprint = self.fingerprint_of(
                self.account_id, self.region, self.rule, self.resource_id
            )
        super().save(*args, **kwargs)
