"""Budgets a month, and when they were passed."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from hostmaster.core.state import VersionedModel
from scans.models.owned import fill_tenant


def usual_thresholds() -> list[int]:
    return [50, 80, 100]


class Budget(VersionedModel):
    """So many USD a month for all accounts of a tenant, or one account, or one service of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    account = models.ForeignKey(
        "scans.Account", models.CASCADE, null=True, blank=True, related_name="budgets"
    )
    name = models.CharField(max_length=100)
    service = models.CharField(
        max_length=120, blank=True, default="", help_text="As Cost Explorer names it; empty: all."
    )
    limit_usd = models.DecimalField(
        "USD a month", max_digits=14, decimal_places=2, validators=[MinValueValidator(0.01)]
    )
    thresholds = models.JSONField(
        default=usual_thresholds, blank=True, help_text="Percent of what was spent."
    )
    forecast_threshold = models.PositiveIntegerField(
        null=True, blank=True, default=100, help_text="Percent of what the month will have cost."
    )
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "budgets"
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="budgets_name_unique"),
            models.CheckConstraint(condition=Q(limit_usd__gt=0), name="budgets_limit_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        # An account's budget is its tenant's; one of another tenant's account is refused.
        fill_tenant(self)
        super().save(*args, **kwargs)


class BreachKind(models.TextChoices):
    ACTUAL = "actual", "Spent"
    FORECAST = "forecast", "Forecast"


class BudgetBreachQuerySet(models.QuerySet["BudgetBreach"]):
    """Questions about many breaches."""

    def standing(self) -> BudgetBreachQuerySet:
        """Of the month that runs: a new month begins at nothing."""
        return self.filter(recovered_at__isnull=True)


class BudgetBreach(models.Model):
    """A threshold was passed, told once a month; recovered when the next month begins."""

    Kind = BreachKind

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+")
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="breaches")
    kind = models.CharField(max_length=10, choices=BreachKind.choices)
    threshold = models.PositiveIntegerField(help_text="Percent of the limit.")
    period = models.DateField(help_text="The month's first day.")
    value_usd = models.DecimalField(max_digits=18, decimal_places=6)
    limit_usd = models.DecimalField(max_digits=14, decimal_places=2)
    found_at = models.DateTimeField(default=timezone.now)
    recovered_at = models.DateTimeField(null=True, blank=True)

    objects = BudgetBreachQuerySet.as_manager()

    class Meta:
        db_table = "budget_breaches"
        ordering = ["-period", "-threshold", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "kind", "threshold", "period"], name="budget_breaches_unique"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=BreachKind.values), name="budget_breaches_kind_known"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "recovered_at"], name="budget_breaches_standing")]

    def __str__(self) -> str:
        return f"{self.budget}: {self.threshold} % {self.get_kind_display().lower()}"
