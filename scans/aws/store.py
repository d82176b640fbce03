"""Writes what collectors found, in batches: one statement a batch, never a row at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from scans.aws.collectors.costs import monthly_usd
from scans.aws.collectors.rows import INSTANCE, InstanceRow, ResourceRow
from scans.aws.prices import BUILT_IN_BOOK, PriceBook
from scans.aws.upsert import Upsert
from scans.models import Account, Instance, Resource, ScanJob
from scans.models.inventory import InventoryQuerySet

BATCH = 500

_UPDATED = (
    "name",
    "state",
    "tags",
    "spec",
    "monthly_cost_usd",
    "last_seen_at",
    "gone_at",
    "last_job_id",
)
_INSTANCE_COLUMNS = (
    "instance_type",
    "lifecycle",
    "availability_zone",
    "platform",
    "launched_at",
)
# Of a thing in another state than before.
_STATE_SINCE = """
    CASE WHEN {old}.state = {new}.state THEN {old}.state_since ELSE {new}.last_seen_at END
"""
_UNIQUE = ("account_id", "region", "resource_id")
_OF_INSTANCES = Upsert(
    Instance, _UNIQUE, (*_UPDATED, *_INSTANCE_COLUMNS), {"state_since": _STATE_SINCE}
)
_OF_RESOURCES = Upsert(Resource, (*_UNIQUE, "kind"), _UPDATED, {"state_since": _STATE_SINCE})


@dataclass(frozen=True)
class InventoryStore:
    """The inventory of one account, written by one scan (or none: a look of a region by hand)."""

    account: Account
    job: ScanJob | None = None
    prices: PriceBook = BUILT_IN_BOOK

    def write(self, region: str, kind: str, rows: Sequence[ResourceRow]) -> None:
        """Insert or update the rows of one region and kind, in batches of at most `BATCH`."""
        # AWS may name one twice in a page; PostgreSQL refuses to touch a row twice. In the order
        # of their ids, so that two scans of an account never wait for each other's rows.
        by_id = {row.resource_id: row for row in rows}
        unique = [by_id[resource_id] for resource_id in sorted(by_id)]
        for batch in _batches([row for row in unique if not is_gone(row)]):
            self._upsert(region, kind, batch)
        for batch in _batches([row for row in unique if is_gone(row)]):
            self._bury(region, batch)

    def mark_gone(
        self,
        region: str,
        kind: str,
        *,
        unseen_since: datetime,
        only: Mapping[str, Any] | None = None,
    ) -> int:
        """What a look that succeeded no longer saw is gone; answers how many.

        `unseen_since` is when the look began: whatever another scan saw meanwhile stays. `only`:
        the rows it looked for, where another look is for the same kind.
        """
        stale = (
            inventory(self.account, kind)
            .present()
            .filter(region=region, last_seen_at__lt=unseen_since, **(only or {}))
        )
        return stale.update(gone_at=timezone.now())

    def _upsert(self, region: str, kind: str, batch: Sequence[ResourceRow]) -> None:
        now = timezone.now()
        shared = {} if kind == INSTANCE else {"kind": kind}
        upsert = _OF_INSTANCES if kind == INSTANCE else _OF_RESOURCES
        upsert.write(
            [_columns(row, self.prices) for row in batch],
            tenant_id=self.account.tenant_id,
            account_id=self.account.pk,
            region=region,
            last_job_id=self.job.pk if self.job else None,
            last_seen_at=now,
            first_seen_at=now,
            **shared,
        )

    def _bury(self, region: str, batch: Sequence[ResourceRow]) -> None:
        """Terminated instances, listed for an hour more: gone since we first heard of it. One that
        we never saw alive is not worth a row."""
        now = timezone.now()
        known = inventory(self.account, INSTANCE).filter(
            region=region, resource_id__in=[row.resource_id for row in batch]
        )
        known.update(
            state="terminated",
            last_seen_at=now,
            gone_at=Coalesce(F("gone_at"), now),
            last_job=self.job,
        )


def inventory(account: Account, kind: str) -> InventoryQuerySet:
    """All rows of a kind of collectors in one account, gone ones included."""
    if kind == INSTANCE:
        return Instance.objects.filter(account=account)
    return Resource.objects.filter(account=account, kind=kind)


def _columns(row: ResourceRow, prices: PriceBook) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "resource_id": row.resource_id,
        "name": row.name[:255],
        "state": row.state,
        "tags": row.tags,
        "spec": row.spec,
        "monthly_cost_usd": monthly_usd(row, prices),
    }
    if isinstance(row, InstanceRow):
        for name in _INSTANCE_COLUMNS:
            columns[name] = getattr(row, name)
    return columns


def is_gone(row: ResourceRow) -> bool:
    """AWS still lists it, but it is terminated."""
    return isinstance(row, InstanceRow) and row.is_gone


def _batches(rows: Sequence[ResourceRow]) -> Iterator[Sequence[ResourceRow]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
