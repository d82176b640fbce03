"""AWS's list prices, the same for every tenant."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class PriceItem(models.Model):
    """One list price as the price API told it: USD a unit, before any discount."""

    region = models.CharField(max_length=40)
    sku_kind = models.CharField(max_length=20)  # ec2, ebs, rds, …
    key = models.CharField(max_length=120)  # "m5.large", "db.m5.large:mysql:multi"
    usd = models.DecimalField(max_digits=18, decimal_places=10)
    unit = models.CharField(max_length=20)  # AWS's word: Hrs, GB-Mo
    effective_from = models.DateField()
    fetched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "price_items"
        ordering = ["region", "sku_kind", "key"]
        constraints = [
            models.UniqueConstraint(fields=["region", "sku_kind", "key"], name="price_items_unique")
        ]

    def __str__(self) -> str:
        return f"{self.key} in {self.region}"


class PriceFetch(models.Model):
    """How the last look at the price API ended for a region: where it failed, the built-in table
    stands in."""

    region = models.CharField(max_length=40, unique=True)
    outcome = models.CharField(max_length=20)  # of `UnitOutcome`
    error_code = models.CharField(max_length=100, blank=True, default="")
    message = models.TextField(blank=True, default="")
    missing_action = models.CharField(max_length=100, blank=True, default="")
    tried_at = models.DateTimeField(default=timezone.now)
    fetched_at = models.DateTimeField(null=True, blank=True, help_text="Last success.")
    rows = models.PositiveIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "price_fetches"
        ordering = ["region"]

    def __str__(self) -> str:
        return f"prices of {self.region}"
