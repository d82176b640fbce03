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
from scans.models import Account, Instance, InventoryItem, Resource, ScanJob
from scans.models.inventory import InventoryQuerySet

BATCH = 500

_UPDATED = [
    "name",
    "state",
    "state_since",
    "tags",
    "spec",
    "monthly_cost_usd",
    "last_seen_at",
    "gone_at",
    "last_job",
]
_INSTANCE_COLUMNS = [
    "instance_type",
    "lifecycle",
    "availability_zone",
    "platform",
    "launched_at",
]


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
        known = inventory(self.account, kind).filter(
            region=region, resource_id__in=[r.resource_id for r in batch]
        )
        before = {
            resource_id: (state, since)
            for resource_id, state, since in known.values_list(
                "resource_id", "state", "state_since"
            )
        }
        model = _model_of(kind)
        items = [
            model(
                tenant_id=self.account.tenant_id,
                account=self.account,
                last_job=self.job,
                last_seen_at=now,
                first_seen_at=now,
                state_since=_state_since(row, before.get(row.resource_id), now),
                **_columns(row, self.prices),
            )
            for row in batch
        ]
        model._default_manager.bulk_create(
            items,
            update_conflicts=True,
            unique_fields=_unique_fields(model),
            update_fields=_updated_fields(model),
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


def _state_since(
    row: ResourceRow, before: tuple[str, datetime | None] | None, now: datetime
) -> datetime | None:
    """`before`: the state it was last seen in, and since when."""
    state, since = before or (row.state, None)
    return since if state == row.state else now


def inventory(account: Account, kind: str) -> InventoryQuerySet:
    """All rows of a kind of collectors in one account, gone ones included."""
    if kind == INSTANCE:
        return Instance.objects.filter(account=account)
    return Resource.objects.filter(account=account, kind=kind)


def _model_of(kind: str) -> type[InventoryItem]:
    return Instance if kind == INSTANCE else Resource


def _unique_fields(model: type[InventoryItem]) -> list[str]:
    own = ["kind"] if model is Resource else []
    return ["account", "region", *own, "resource_id"]


def _updated_fields(model: type[InventoryItem]) -> list[str]:
    # Explicit: an upsert calls no save(). `first_seen_at` is not among them.
    return [*_UPDATED, *(_INSTANCE_COLUMNS if model is Instance else [])]


def _columns(row: ResourceRow, prices: PriceBook) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "region": row.region,
        "resource_id": row.resource_id,
        "name": row.name[:255],
        "state": row.state,
        "tags": row.tags,
        "spec": row.spec,
        "monthly_cost_usd": monthly_usd(row, prices),
    }
    if isinstance(row, InstanceRow):
        return columns | {name: getattr(row, name) for name in _INSTANCE_COLUMNS}
    return columns | {"kind": row.kind}


def is_gone(row: ResourceRow) -> bool:
    """AWS still lists it, but it is terminated."""
    return isinstance(row, InstanceRow) and row.is_gone


def _batches(rows: Sequence[ResourceRow]) -> Iterator[Sequence[ResourceRow]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
