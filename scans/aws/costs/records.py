"""Writes Cost Explorer's days down, and reads them back as plain figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Sum
from django.utils import timezone

from scans.aws.costs.explorer import NO_REGION, REGION, SERVICE, Amount, DayCosts
from scans.models import Account, CostMetric, CostRecord
from scans.models.costs import CostRecordQuerySet

BATCH = 500
ZERO = Decimal(0)


@dataclass
class DayKeeper:
    """The days of one question, in batches; a revision overwrites what was known of them."""

    account: Account
    dimension: str
    began_at: datetime
    rows: int = 0
    _listed: set[date] = field(default_factory=set)
    _waiting: list[CostRecord] = field(default_factory=list)

    def keep(self, day: DayCosts) -> None:
        self._listed.add(day.day)
        known = {(amount.key, amount.metric): amount for amount in day.amounts}
        self._waiting += [self._record(day, amount) for amount in known.values()]
        if len(self._waiting) >= BATCH:
            self._write()

    def finish(self) -> None:
        """Everything was told: what is no longer named on a listed day cost nothing after all."""
        self._write()
        stale = CostRecord.objects.filter(
            account=self.account, date__in=self._listed, fetched_at__lt=self.began_at
        )
        (stale.by_service() if self.dimension == SERVICE else stale.by_region()).delete()

    def abandon(self) -> None:
        """The answer broke off: what was told of it holds."""
        self._write()

    def _record(self, day: DayCosts, amount: Amount) -> CostRecord:
        of_region = self.dimension == REGION
        return CostRecord(
            tenant_id=self.account.tenant_id,
            account=self.account,
            date=day.day,
            service="" if of_region else (amount.key or "Unknown")[:120],
            region=(amount.key or NO_REGION)[:40] if of_region else "",
            metric=amount.metric,
            amount_usd=amount.usd,
            currency=amount.currency,
            is_estimated=day.is_estimated,
            fetched_at=timezone.now(),
        )

    def _write(self) -> None:
        # Twice in one statement is refused by PostgreSQL; a page may repeat a day.
        rows = {(r.date, r.service, r.region, r.metric): r for r in self._waiting}
        self._waiting.clear()
        CostRecord.objects.bulk_create(
            [rows[key] for key in sorted(rows)],
            batch_size=BATCH,
            update_conflicts=True,
            unique_fields=["account", "date", "service", "region", "metric"],
            update_fields=["amount_usd", "currency", "is_estimated", "fetched_at"],
        )
        self.rows += len(rows)


def daily_totals(
    account: Account, start: date, end: date, *, service: str = ""
) -> dict[date, Decimal]:
    """Unblended USD of each day from `start` to before `end`; days nobody told of are absent."""
    records = _unblended(account, start, end).by_service()
    if service:
        records = records.filter(service=service)
    rows = records.order_by().values("date").annotate(usd=Sum("amount_usd"))
    return {row["date"]: row["usd"] for row in rows}


def daily_by(
    account: Account, start: date, end: date, dimension: str
) -> dict[str, dict[date, Decimal]]:
    """Unblended USD by service or by region, and by day."""
    records = _unblended(account, start, end)
    records = records.by_service() if dimension == SERVICE else records.by_region()
    name = "service" if dimension == SERVICE else "region"
    found: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for key, day, usd in records.order_by().values_list(name, "date", "amount_usd").iterator():
        found[key][day] = usd
    return dict(found)


def known_days(costs: Sequence[dict[date, Decimal]]) -> set[date]:
    """Days on which anything is known to have cost something: Cost Explorer told of them."""
    return {day for daily in costs for day in daily}


def _unblended(account: Account, start: date, end: date) -> CostRecordQuerySet:
    return CostRecord.objects.filter(
        account=account, metric=CostMetric.UNBLENDED, date__gte=start, date__lt=end
    )
