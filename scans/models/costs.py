"""What an account really cost, as Cost Explorer tells it, and what is read from that."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scans.models.owned import AccountOwned, OwnedQuerySet


class CostMetric(models.TextChoices):
    UNBLENDED = "unblended", "Unblended"  # as billed that day
    AMORTIZED = "amortized", "Amortized"  # upfront payments spread over their term


class CostRecordQuerySet(OwnedQuerySet):
    """The same money is kept twice, by service and by region: a sum takes one of them."""

    def by_service(self) -> CostRecordQuerySet:
        return self.filter(region="")

    def by_region(self) -> CostRecordQuerySet:
        return self.filter(service="")


class CostRecord(AccountOwned):
    """One day of one service (`region` empty) or of one region (`service` empty)."""

    Metric = CostMetric

    date = models.DateField()
    service = models.CharField(max_length=120, blank=True, default="")
    region = models.CharField(max_length=40, blank=True, default="")
    metric = models.CharField(max_length=12, choices=CostMetric.choices)
    amount_usd = models.DecimalField("USD", max_digits=18, decimal_places=6)
    currency = models.CharField(max_length=3, default="USD")
    is_estimated = models.BooleanField("estimated", default=False)
    fetched_at = models.DateTimeField(default=timezone.now)

    objects = CostRecordQuerySet.as_manager()

    class Meta:
        db_table = "cost_records"
        ordering = ["-date", "service", "region", "metric", "pk"]
        verbose_name = "cost"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "date", "service", "region", "metric"],
                name="cost_records_unique",
            ),
            models.CheckConstraint(
                condition=Q(metric__in=CostMetric.values), name="cost_records_metric_known"
            ),
            models.CheckConstraint(
                condition=Q(service="") ^ Q(region=""), name="cost_records_one_dimension"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-date"], name="cost_records_tenant")]

    def __str__(self) -> str:
        return f"{self.service or self.region} on {self.date}"


class CostFetch(AccountOwned):
    """When a question was last answered by Cost Explorer: each costs money, so it is not asked
    again for hours."""

    call = models.CharField(max_length=80)
    fetched_at = models.DateTimeField(default=timezone.now)
    rows = models.PositiveIntegerField(default=0)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        db_table = "cost_fetches"
        constraints = [
            models.UniqueConstraint(fields=["account", "call"], name="cost_fetches_unique")
        ]


class ForecastBasis(models.TextChoices):
    AWS = "aws", "Cost Explorer"
    WEEKDAY = "weekday", "Our weekday average"  # where Cost Explorer has none


class CostForecast(AccountOwned):
    """What a month will have cost in the end; the latest of each month is kept."""

    Basis = ForecastBasis

    month = models.DateField(help_text="Its first day.")
    amount_usd = models.DecimalField("USD", max_digits=18, decimal_places=6)
    low_usd = models.DecimalField("USD at least", max_digits=18, decimal_places=6)
    high_usd = models.DecimalField("USD at most", max_digits=18, decimal_places=6)
    basis = models.CharField(max_length=12, choices=ForecastBasis.choices)
    made_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        db_table = "cost_forecasts"
        ordering = ["-month", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["account", "month"], name="cost_forecasts_unique"),
            models.CheckConstraint(
                condition=Q(basis__in=ForecastBasis.values), name="cost_forecasts_basis_known"
            ),
        ]


class CommitmentKind(models.TextChoices):
    SAVINGS_PLANS = "savings_plans", "Savings Plans"
    RESERVED = "reserved", "Reserved instances"


class CommitmentCoverage(AccountOwned):
    """How much of the usage a kind of commitment covered in the last 30 days, and how much of the
    commitment was used. Empty: Cost Explorer did not say."""

    Kind = CommitmentKind

    kind = models.CharField(max_length=20, choices=CommitmentKind.choices)
    period_start = models.DateField()
    period_end = models.DateField(help_text="The day after its last.")
    coverage = models.DecimalField(
        max_digits=7, decimal_places=6, null=True, help_text="0 to 1, of usage at on-demand price."
    )
    covered_usd = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    uncovered_usd = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    steady_uncovered_hourly_usd = models.DecimalField(
        max_digits=18,
        decimal_places=6,
        null=True,
        help_text="USD an hour on demand that nine days of ten had at least (p10).",
    )
    utilization = models.DecimalField(
        max_digits=7, decimal_places=6, null=True, help_text="0 to 1, of the commitment."
    )
    unused_usd = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    computed_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        db_table = "commitment_coverages"
        constraints = [
            models.UniqueConstraint(fields=["account", "kind"], name="commitment_coverages_unique"),
            models.CheckConstraint(
                condition=Q(kind__in=CommitmentKind.values),
                name="commitment_coverages_kind_known",
            ),
        ]


class Commitment(AccountOwned):
    """One Savings Plan or reservation that was used in the last 30 days."""

    Kind = CommitmentKind

    kind = models.CharField(max_length=20, choices=CommitmentKind.choices)
    commitment_id = models.CharField(max_length=255)
    description = models.CharField(max_length=255, blank=True, default="")
    region = models.CharField(max_length=40, blank=True, default="")
    ends_at = models.DateTimeField(null=True)
    utilization = models.DecimalField(max_digits=7, decimal_places=6, null=True)
    monthly_usd = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        db_table = "commitments"
        ordering = ["ends_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "commitment_id"], name="commitments_unique"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=CommitmentKind.values), name="commitments_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.description or self.commitment_id


class AnomalySource(models.TextChoices):
    OURS = "ours", "Hostmaster"
    AWS = "aws", "AWS"
    BOTH = "both", "Both"


class CostAnomalyQuerySet(OwnedQuerySet):
    """Questions about many anomalies."""

    def standing(self) -> CostAnomalyQuerySet:
        """Not withdrawn by a later revision of the costs."""
        return self.filter(withdrawn_at__isnull=True)


class CostAnomaly(AccountOwned):
    """A day that cost far more than such days do: everything unusual of one day together.

    Cost Explorer revises its days: figures follow, and what is unusual no longer is withdrawn.
    """

    Source = AnomalySource

    date = models.DateField()
    source = models.CharField(max_length=8, choices=AnomalySource.choices)
    service = models.CharField(max_length=120, help_text="The one that rose most.")
    actual_usd = models.DecimalField(max_digits=18, decimal_places=6)
    expected_usd = models.DecimalField(max_digits=18, decimal_places=6)
    excess_usd = models.DecimalField("USD too much", max_digits=18, decimal_places=6)
    score = models.DecimalField(
        max_digits=8, decimal_places=2, null=True, help_text="Robust z, the highest of the day."
    )
    contributors = models.JSONField(default=list, help_text="The three services that rose most.")
    regions = models.JSONField(default=list, help_text="The three regions that rose most.")
    services_count = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = CostAnomalyQuerySet.as_manager()

    class Meta:
        db_table = "cost_anomalies"
        ordering = ["-date", "pk"]
        verbose_name_plural = "cost anomalies"
        constraints = [
            models.UniqueConstraint(fields=["account", "date"], name="cost_anomalies_unique"),
            models.CheckConstraint(
                condition=Q(source__in=AnomalySource.values), name="cost_anomalies_source_known"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-date"], name="cost_anomalies_tenant")]

    def __str__(self) -> str:
        return f"{self.service} on {self.date}"
