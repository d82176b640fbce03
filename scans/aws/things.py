"""What is in the inventory as rules read it: without a model's state, a third of its cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeAlias

from scans.aws.collectors.rows import INSTANCE
from scans.aws.store import BATCH, inventory
from scans.models import Account
from scans.models.inventory import InventoryQuerySet

# A thing's region and its id, which alone names nothing: database names repeat.
Place: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Thing:
    """Anything but an EC2 instance."""

    region: str
    resource_id: str
    name: str
    state: str
    state_since: datetime | None
    first_seen_at: datetime
    tags: Any
    spec: Any

    @property
    def place(self) -> Place:
        return (self.region, self.resource_id)


@dataclass(slots=True)
class InstanceThing(Thing):
    """An EC2 instance."""

    instance_type: str
    lifecycle: str
    platform: str
    launched_at: datetime | None


def read_things(rows: InventoryQuerySet, kind: str) -> list[Thing]:
    """Rows of one kind."""
    made = InstanceThing if kind == INSTANCE else Thing
    names = [column.name for column in fields(made)]
    return [made(*row) for row in rows.values_list(*names)]


def pages(account: Account, kind: str, regions: Sequence[str]) -> Iterator[list[Thing]]:
    """All present things of a kind, region after region. A page has at least `BATCH` of them, the
    last one aside, and less than twice as many: small regions share one."""
    page: list[Thing] = []
    for region in regions:
        for some in _pages_of_region(account, kind, region):
            page += some
            if len(page) >= BATCH:
                yield page
                page = []
    if page:
        yield page


def _pages_of_region(account: Account, kind: str, region: str) -> Iterator[list[Thing]]:
    """In the order of an index instead of by one long cursor, which our own writes would pass
    through."""
    rows = inventory(account, kind).present().filter(region=region).order_by("resource_id")
    last = ""
    while page := read_things(rows.filter(resource_id__gt=last)[:BATCH], kind):
        yield page
        if len(page) < BATCH:
            return
        last = page[-1].resource_id
